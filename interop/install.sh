#!/usr/bin/env bash
# Installs the peers: Debian's programs if they are missing, PyPI's into a cached environment. Prints the environment's folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # no service is started by an installation

declare -A package=([chromium]=chromium [collectd]=collectd-core [carbon-c-relay]=carbon-c-relay [nc]=netcat-openbsd [prometheus]=prometheus [haproxy]=haproxy [redis-server]=redis-server [rsync]=rsync [flock]=util-linux [pgrep]=procps)
export PATH="$PATH:/usr/sbin:/sbin"

missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
# graphite-web draws with cairo and imports it at once
ldconfig -p | grep -q 'libcairo\.so\.2' || missing+=(libcairo2)
# carbon 1.1.10 imports `imp`, which Python 3.12 has no more
python=$(command -v python3.11 || command -v python3 || true)
if [[ -z $python ]] || ! "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
  missing+=(python3.11 python3.11-venv)
  python=/usr/bin/python3.11
fi
if ((${#missing[@]})); then
  apt-get -o Acquire::Retries=3 update -qq >&2
  apt-get -o Acquire::Retries=3 install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/plumbago-interop
key=$({ "$python" -c 'import sys; print(sys.version, sys.prefix)'; cat requirements.txt; } | sha256sum | cut -c1-16)
venv=$cache/venv-$key
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [[ ! -e $venv/complete ]]; then
  rm -rf "$venv"
  "$python" -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 5 --use-pep517 -r requirements.txt >&2
  touch "$venv/complete"
fi
printf '%s\n' "$venv"
