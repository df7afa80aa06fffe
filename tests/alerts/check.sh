#!/usr/bin/env bash
# Checks the alert rules with promtool, and that they name only metrics that there are. Where promtool is not installed,
# Debian's package is unpacked beside the build, so that no Prometheus is started.
set -euo pipefail
cd "$(dirname "$0")/../.."

promtool=$(command -v promtool || true)
if [[ -z $promtool ]]; then
    tools=$PWD/target/tools/prometheus
    promtool=$tools/usr/bin/promtool
    if [[ ! -x $promtool ]]; then
        if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
            echo "alerts: left out: there is no promtool"
            exit 0
        fi
        mkdir -p "$tools"
        (cd "$tools" && apt-get download --quiet=2 prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
    fi
fi
"$promtool" check rules docs/alerts/docket.rules.yml
"$promtool" test rules tests/alerts/docket_test.yml
unknown=$(grep -o 'docket_[a-z_]*' docs/alerts/docket.rules.yml | sed 's/_bucket$//' | sort -u |
    while read -r metric; do grep -q "\"$metric\"" api/src/server/metrics.rs || echo "$metric"; done)
if [[ $unknown ]]; then
    echo "alerts: there is no metric $unknown" >&2
    exit 1
fi
