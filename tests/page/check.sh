#!/usr/bin/env bash
# Drives the page of a real server, with the demo's orders, in a headless Chromium. The program to test is the first
# argument; CHROMIUM names the browser where it is not in a usual place.
set -euo pipefail
docket=$(realpath "${1:?usage: check.sh PROGRAM}")
cd "$(dirname "$0")"
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[[ $chromium ]] || { echo "page: no Chromium found" >&2 && exit 1; }

npm ci --no-audit --no-fund --loglevel error
exec node run.mjs "$docket" "$chromium"
