"""Records the strings that graphite-web draws: `python record.py labels.json.gz [folder for its pictures]`.

Runs inside an environment that has graphite-web; drives its own parser of options and its graph classes, and notes every drawText call.
"""
import gzip
import json
import math
import os
import sys
import tempfile
import types
import warnings
from urllib.parse import parse_qs

ROOT = tempfile.mkdtemp()
for folder in ("storage/log/webapp", "conf", "storage/whisper", "webapp/content"):
    os.makedirs(os.path.join(ROOT, folder))
warnings.simplefilter("ignore")
local = types.ModuleType("graphite.local_settings")
local.SECRET_KEY, local.TIME_ZONE, local.TAGDB = "x", "UTC", None
local.LOG_DIR, local.STORAGE_DIR, local.CONF_DIR = (os.path.join(ROOT, p) for p in ("storage/log/webapp", "storage", "conf"))
sys.modules[local.__name__] = local
os.environ["DJANGO_SETTINGS_MODULE"] = "graphite.settings"
from graphite.render import datalib, glyph  # noqa: E402

BEGIN = 1_700_000_000 - 1_700_000_000 % 86400


def wave(scale, shift=0.0, count=120, gaps=0, ground=0.0):
    values = [round(ground + scale * (1.5 + math.sin(i / 9 + shift) + 0.3 * math.cos(i / 2.5)), 4) for i in range(count)]
    return [None if gaps and i % gaps < gaps // 5 else v for i, v in enumerate(values)]


def line(name, values, step=60, start=BEGIN + 4 * 3600 + 780, **options):
    consolidate = options.pop("consolidate", "average")
    color = options.pop("color", None)
    return {"name": name, "start": start, "step": step, "values": values, "consolidate": consolidate, "color": color, "options": options}


def three(scale=10.0, **more):
    return [line(f"servers.web{n}.cpu.user", wave(scale * n, n, **more)) for n in (1, 2, 3)]


CASES = [
    ("plain", "", three()),
    ("titles", "title=Requests+per+second&vtitle=req/s&width=600&height=300", three(1000.0)),
    ("stacked", "areaMode=stacked&width=500&height=300&title=All+of+it", three(12345.0)),
    ("stacked alpha", "areaMode=stacked&areaAlpha=0.5&width=500&height=300", three(3.0, gaps=25)),
    ("area first", "areaMode=first&width=400", three(0.01)),
    ("area all", "areaMode=all&areaAlpha=0.4&lineMode=staircase", three(77.0)),
    ("staircase", "lineMode=staircase&width=420&minorY=3", three(5e7)),
    ("connected", "lineMode=connected&connectedLimit=3", three(250.0, gaps=20)),
    ("null as zero", "drawNullAsZero=true", three(10.0, gaps=20)),
    ("binary", "yUnitSystem=binary&width=500", three(3.1e9)),
    ("seconds", "yUnitSystem=sec", three(4000.0)),
    ("milliseconds", "yUnitSystem=msec&height=400", three(90000.0)),
    ("no units", "yUnitSystem=none", three(2_000_000.0)),
    ("limits", "yMin=-5&yMax=33&yStep=7", three()),
    ("limit and max", "yLimit=20&yMax=max&yDivisors=3,7", three(30.0)),
    ("min max names", "min=0&max=50&thickness=3", three()),
    ("log ten", "logBase=10&width=500", [line("small", wave(0.5, ground=0.2)), line("large", wave(9000.0, ground=10))]),
    ("log two", "logBase=2", [line("a", wave(3.0, ground=1))]),
    ("log e", "logBase=e&yUnitSystem=none", [line("a", wave(30.0, ground=1))]),
    ("two axes", "width=700&height=320&title=Two&vtitle=left&vtitleRight=right", three()[:1] + [
        line("bytes", wave(4e6), secondYAxis=True), line("more bytes", wave(1e6, 2), secondYAxis=True)]),
    ("two axes limits", "width=500&yMinLeft=0&yMaxLeft=40&yStepLeft=10&yMinRight=1&yLimitRight=90&rightDashed=4&leftWidth=3&rightColor=red", three()[:1] + [
        line("right", wave(70.0), secondYAxis=True)]),
    ("axis on the right", "yAxisSide=right&title=Right", three(4.0)),
    ("no axes", "hideAxes=true&title=No+axes", three()),
    ("hidden parts", "hideYAxis=true&hideGrid=true&hideLegend=true", three()),
    ("graph only", "graphOnly=true&width=120&height=40", three()),
    ("legend unique", "uniqueLegend=true&hideNullFromLegend=true&width=800", three() + three(2.0) + [line("never", [None] * 120)]),
    ("too many for a legend", "width=640", [line(f"metric{n}", wave(n + 1.0)) for n in range(11)]),
    ("thirty days", "tz=Europe/Berlin&width=800", [line("days", wave(6.0, count=720), step=3600, consolidate="max")]),
    ("two minutes", "width=700&height=200&fontSize=12", [line("fast", wave(1.0), step=1)]),
    ("four years", "xFormat=%25d.%25m.%25y&width=900", [line("slow", wave(1.0, count=1461), step=86400)]),
    ("flat", "", [line("flat", [7.0] * 60), line("a+b%20c", [7.0] * 60)]),
    ("negative", "bgcolor=black&fgcolor=white&majorGridLineColor=darkgrey", [line("below", wave(-44.0, ground=13.0)), line("dashed", wave(20.0), dashed=5.0, color="#ff8800")]),
    ("marks", "width=500", three()[:1] + [line("deploys", [1.0 if i % 50 == 20 else None for i in range(120)], drawAsInfinite=True, color="red")]),
    ("band", "areaAlpha=0.3&areaMode=none", [line("band", wave(9.0), stacked=True, invisible=True), line("band", wave(9.0, ground=6.0), stacked=True)]),
    ("one point", "", [line("one", [3.25])]),
    ("all null", "", [line("nothing", [None] * 60)]),
    ("nothing", "width=400", []),
    ("pie", "graphType=pie&title=Shares", {"cpu.user": 41.5, "cpu.system": 20.25, "cpu.wait": 3.0, "idle": 60.0}),
    ("pie of numbers", "graphType=pie&valueLabels=number&valueLabelsMin=10&pieLabels=rotated&width=500", {"a": 41.5, "b": 9.25, "c": 300.0}),
    ("pie without legend", "graphType=pie&hideLegend=true&areaAlpha=0.6", {"x": 1.0, "y": 2.0, "z": 0.1}),
]


def decoded(query):
    return {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}


def options_of(query, klass):
    """As its view's parseOptions reads them."""
    given = decoded(query)
    found = {"width": 330, "height": 250, "outputFormat": "png"}
    for opt in klass.customizable:
        if opt not in given:
            continue
        val = given[opt]
        if (val.isdigit() or (val.startswith("-") and val[1:].isdigit())) and "color" not in opt.lower():
            val = int(val)
        elif "." in val and (val.replace(".", "", 1).isdigit() or (val.startswith("-") and val[1:].replace(".", "", 1).isdigit())):
            val = float(val)
        elif val.lower() in ("true", "false"):
            val = val.lower() == "true"
        elif val.lower() == "default" or val == "":
            continue
        found[opt] = val
    return found


def series_of(row):
    series = datalib.TimeSeries(row["name"], row["start"], row["start"] + row["step"] * len(row["values"]), row["step"], list(row["values"]), row["consolidate"])
    series.options.update(row["options"])
    if row["color"]:
        series.color = row["color"]
    return series


def record(name, query, data, pictures):
    drawn, section = [], [""]
    plain_text, plain_header = glyph.Graph.drawText, glyph.Graph.encodeHeader

    def note_text(self, text, x, y, *rest, **more):
        drawn.append([section[0], text, round(float(x), 2), round(float(y), 2)])
        plain_text(self, text, x, y, *rest, **more)

    def note_header(self, text):
        section[0] = text
        plain_header(self, text)

    glyph.Graph.drawText, glyph.Graph.encodeHeader = note_text, note_header
    klass = glyph.PieGraph if isinstance(data, dict) else glyph.LineGraph
    try:
        given = list(data.items()) if isinstance(data, dict) else [series_of(row) for row in data]
        graph = klass(data=given, **options_of(query, klass))
    finally:
        glyph.Graph.drawText, glyph.Graph.encodeHeader = plain_text, plain_header
    if pictures:
        graph.surface.write_to_png(os.path.join(pictures, name.replace(" ", "-") + ".png"))
    return {"name": name, "kind": klass.__name__, "options": decoded(query), "data": list(data.items()) if isinstance(data, dict) else data, "texts": drawn, "area": {k: round(float(v), 2) for k, v in graph.area.items()}}


def main():
    pictures = sys.argv[2] if len(sys.argv) > 2 else None
    rows = [record(*case, pictures) for case in CASES]
    with open(sys.argv[1], "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        out.write(json.dumps(rows, separators=(",", ":"), sort_keys=True).encode())
    print(len(rows), "option sets,", sum(len(row["texts"]) for row in rows), "strings")


main()
