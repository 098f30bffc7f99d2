"""The peers as processes: collectd, carbon-c-relay, Python carbon-relay, graphite-web, Prometheus and haproxy, each with the least configuration that works."""
import os
import sys

from stage import HOST, address, free_port, http

VENV_BIN = os.path.dirname(sys.executable)
HERE = os.path.dirname(os.path.abspath(__file__))

COLLECTD_CONF = """
Hostname "interop"
FQDNLookup false
Interval 1
PIDFile "{folder}/collectd.pid"
BaseDir "{folder}"
TypesDB "/usr/share/collectd/types.db"
{plugins}
<Plugin df>
  MountPoint "/"
</Plugin>
<Plugin write_graphite>
{nodes}
</Plugin>
"""
COLLECTD_NODE = """  <Node "{name}">
    Host "{host}"
    Port "{port}"
    Protocol "tcp"
    Prefix "collectd."
    ReconnectInterval 0
  </Node>
"""
COLLECTD_PLUGINS = ["cpu", "load", "memory", "interface", "df", "write_graphite"]

CARBON_RELAY_CONF = """
[relay]
USER =
CONF_DIR = {folder}/conf
STORAGE_DIR = {folder}
LOG_DIR = {folder}
PID_DIR = {folder}
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {line}
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = {pickle}
RELAY_METHOD = consistent-hashing
REPLICATION_FACTOR = 1
DESTINATIONS = {destination}
DESTINATION_PROTOCOL = pickle
CARBON_METRIC_INTERVAL = 0
"""

PROMETHEUS_CONF = """
global:
  scrape_interval: 1s
  external_labels: {{site: "rack 1"}}
scrape_configs:
  - job_name: prometheus
    static_configs: [{{targets: ["{own}"]}}]
  - job_name: relay
    static_configs: [{{targets: ["{admin}"]}}]
remote_write:
  - url: {url}
    queue_config: {{batch_send_deadline: 1s}}
"""
HAPROXY_CONF = """
defaults
  mode http
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  option httpchk GET /health/ramp
  default-server check inter 200ms fastinter 200ms downinter 200ms rise 1 fall 2
  retries 3
  option redispatch
"""
HAPROXY_DOOR = """
listen door{number}
  bind {door}
  balance roundrobin
  source 127.0.1.{number}
{servers}
"""


def collectd(stage, ports):
    """collectd that reports every second, the same values to every port."""
    nodes = "".join(COLLECTD_NODE.format(name=f"node{port}", host=HOST, port=port) for port in ports)
    plugins = "\n".join(f"LoadPlugin {name}" for name in COLLECTD_PLUGINS)
    conf = stage.write("collectd.conf", COLLECTD_CONF.format(folder=stage.folder, plugins=plugins, nodes=nodes))
    return stage.spawn("collectd", ["collectd", "-f", "-C", conf])


def carbon_relay(stage, pickle_port):
    """Python's carbon-relay, which hands on by pickle what it takes by line; returns its line port."""
    line = free_port()
    stage.write("carbon-relay/conf/storage-schemas.conf", "")
    conf = stage.write("carbon-relay/conf/carbon.conf", CARBON_RELAY_CONF.format(
        folder=stage.path("carbon-relay"), line=line, pickle=free_port(), destination=f"{HOST}:{pickle_port}:a"))
    process = stage.spawn("carbon-relay", [sys.executable, os.path.join(VENV_BIN, "carbon-relay.py"), f"--config={conf}", "--nodaemon", "start"],
                          env={**os.environ, "GRAPHITE_ROOT": stage.path("carbon-relay")})
    stage.wait_port(process, line)
    return line


def carbon_c_relay(stage, line_port):
    """carbon-c-relay that forwards every line; returns its line port."""
    line = free_port()
    conf = stage.write("carbon-c-relay.conf", f"listen type linemode {address(line)} proto tcp ;\n"
                       f"cluster plumbago forward {address(line_port)} ;\nmatch * send to plumbago stop ;\n")
    process = stage.spawn("carbon-c-relay", ["carbon-c-relay", "-s", "-f", conf])
    stage.wait_port(process, line)
    return line


def graphite_web(stage, name, servers, tag_server):
    """graphite-web with no storage of its own, in front of the given read addresses; returns its base address."""
    port, folder = free_port(), stage.path(name, "log")
    os.makedirs(folder, exist_ok=True)
    process = stage.spawn(name, [sys.executable, os.path.join(HERE, "graphite_web_server.py"), str(port)], env={
        **os.environ, "PYTHONPATH": HERE, "GRAPHITE_SETTINGS_MODULE": "graphite_web_settings",
        "INTEROP_FOLDER": folder, "INTEROP_SERVERS": " ".join(servers), "INTEROP_TAG_SERVER": tag_server})
    base = f"http://{address(port)}"
    stage.wait_alive(process, "graphite-web", lambda: http(f"{base}/render?target=constantLine(1)&format=json"))
    return base


def prometheus(stage, url, admin):
    """Prometheus that scrapes itself and a daemon of ours each second and writes it all to the url; returns its port."""
    port = free_port()
    conf = stage.write("prometheus.yml", PROMETHEUS_CONF.format(own=address(port), admin=admin, url=url))
    process = stage.spawn("prometheus", ["prometheus", f"--config.file={conf}", f"--storage.tsdb.path={stage.path('prometheus')}",
                                         f"--web.listen-address={address(port)}"])
    stage.wait_alive(process, "Prometheus", lambda: http(f"http://{address(port)}/-/ready"), 60)
    return port


def haproxy(stage, ports, doors):
    """haproxy with so many doors, each of which checks the servers from an address of its own; returns the doors' ports."""
    listening = [free_port() for _ in range(doors)]
    servers = "\n".join(f"  server s{port} {address(port)}" for port in ports)
    conf = HAPROXY_CONF + "".join(HAPROXY_DOOR.format(number=number, door=address(door), servers=servers)
                                  for number, door in enumerate(listening, 1))
    process = stage.spawn("haproxy", ["haproxy", "-db", "-f", stage.write("haproxy.cfg", conf)])
    for door in listening:
        stage.wait_port(process, door)
    return listening
