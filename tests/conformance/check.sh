#!/usr/bin/env bash
# Holds a real server, with the demo's orders, against other people's clients: the 61 audits of graphql-http, the
# clients of graphql-ws and graphql-sse, and those that front ends are built with (relay-compiler and its runtime, Apollo
# Client, urql, graphql-codegen, Python's gql). The program to test is the first argument.
set -euo pipefail
docket=$(realpath "${1:?usage: check.sh PROGRAM}")
cd "$(dirname "$0")"

folder=$(mktemp -d)
server=
clean_up() {
    local status=$?
    if [[ $server ]] && kill -s TERM "$server" 2>/dev/null; then wait "$server" || true; fi
    rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT

npm ci --no-audit --no-fund --loglevel error
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check -r clients/requirements.txt
# What two of the clients are compiled to, from the printed schema.
mkdir -p clients/relay/__generated__
echo '{"type":"commonjs"}' >clients/relay/__generated__/package.json
quietly() { "$@" >"$folder/output" 2>&1 || { cat "$folder/output" >&2; return 1; }; }
(cd clients/relay && quietly ../../node_modules/.bin/relay-compiler relay.config.json)
(cd clients/codegen && quietly ../../node_modules/.bin/graphql-codegen --config codegen.json)
node_modules/.bin/tsc -p clients/codegen
env -u DATABASE_URL "$docket" serve --demo --simulate 0 --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --data-dir "$folder/data" \
    </dev/null >"$folder/output" 2>&1 &
server=$!
for ((tenth = 0; tenth < 600; tenth++)); do
    url=$(sed -n 's/^Docket is at \(.*\)$/\1/p' "$folder/output")
    token=$(sed -n 's/^Token (.*): \(.*\)$/\1/p' "$folder/output")
    [[ -z $url || -z $token ]] || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
if [[ -z ${url:-} || -z ${token:-} ]]; then
    echo "conformance: the server did not come up" >&2
    sed 's/^/    /' "$folder/output" >&2
    exit 1
fi
node run.mjs "$url" "$token" \
    --query '{ orders(first: 2) { nodes { id number status } } }' \
    --subscription 'subscription { ordersChanged { cursor orderId } }' \
    --results 2 \
    --trigger 'mutation { createOrder(input: {channel: "web", currency: "EUR", locale: "en-GB", idempotencyKey: "conformance"}) { order { id } } }'
node clients/run.mjs "$url" "$token"
"$folder/python/bin/python" clients/gql_client.py "$url" "$token"
