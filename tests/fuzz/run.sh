#!/usr/bin/env bash
# Throws random requests of the whole schema at a real server (schemathesis): no answer may be a server error, none may
# break its connection, and the server must live on. Not a part of the tests that run each time: it takes a while.
#
#   tests/fuzz/run.sh PROGRAM [EXAMPLES A FIELD, 100 where nothing is said] [SEED] [ROLE, staff where nothing is said]
set -euo pipefail
docket=$(realpath "${1:?usage: run.sh PROGRAM [EXAMPLES] [SEED] [ROLE]}")
examples=${2:-100}
seed=${3:-$RANDOM}
role=${4:-staff}
cd "$(dirname "$0")"

folder=$(mktemp -d)
server=
# shellcheck disable=SC2317 # it is called by the trap
clean_up() {
    local status=$?
    if [[ $server ]] && kill -s TERM "$server" 2>/dev/null; then wait "$server" || true; fi
    rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT

python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5
# A caller that is out of points is refused before anything is looked at.
for who in CUSTOMER GATEWAY SERVICE; do
    export "DOCKET_LIMITS__RATES__${who}__POINTS=100000000" "DOCKET_LIMITS__RATES__${who}__POINTS_PER_SECOND=100000000"
done
env -u DATABASE_URL "$docket" serve --demo --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --data-dir "$folder/data" \
    </dev/null >"$folder/output" 2>&1 &
server=$!
for ((tenth = 0; tenth < 600; tenth++)); do
    url=$(sed -n 's/^.*\(http:\/\/[^ ]*\/graphql\)$/\1/p' "$folder/output" | head -n 1)
    token=$(sed -n 's/^Token (.*): \(.*\)$/\1/p' "$folder/output")
    [[ -z $url || -z $token ]] || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
[[ ${url:-} && ${token:-} ]] || { cat "$folder/output" >&2; exit 1; }

staff=$token
ask() {
    curl --fail --silent --show-error "$url" -H "Authorization: Bearer $staff" -H 'Content-Type: application/json' \
        -d "{\"query\": \"$1\"}"
}
# Names that mean something to this server, so that many requests come further than its first check.
ids() { ask "$1" | grep -o '[0-9a-f]\{8\}-[0-9a-f-]\{27\}\(-[ps][0-9]*\)\?' | sort -u | sed 's/.*/"&"/' >"$folder/$2"; }
ids '{ orders(first: 50) { nodes { id } } }' orders
ids '{ orders(first: 50) { nodes { payments { id } } } }' payments
ids '{ orders(first: 50) { nodes { shipments { id } } } }' shipments
for ((key = 0; key < 5000; key++)); do echo "\"key-$RANDOM-$key\""; done >"$folder/keys"
cp schemathesis.toml "$folder/"

case $role in
staff) ;;
# Whoever has the newest order, so that some of what they ask for is theirs.
customer) actor=$(ask '{ orders(first: 50) { nodes { customer } } }' | grep -o '"customer":"[^"]*"' | head -n 1 | cut -d '"' -f 4) ;;
gateway) actor=manual ;;
*) actor=fuzz ;;
esac
if [[ ${actor:-} ]]; then
    token=$(env -u DATABASE_URL "$docket" token create --role "$role" --actor "$actor" --data-dir "$folder/data" --json |
        sed -n 's/^.*"token":"\([^"]*\)".*$/\1/p')
fi
[[ $token ]] || { echo "fuzz: there is no token for $role" >&2; exit 1; }

echo "fuzz: $examples examples a field, seed $seed, as $role${actor:+ $actor}"
status=0
SCHEMATHESIS_HOOKS=hooks PYTHONPATH=. "$folder/python/bin/st" --config-file "$folder/schemathesis.toml" run \
    ../../api/schema.graphql --url "$url" --header "Authorization: Bearer $token" --workers 4 --phases fuzzing \
    --max-examples "$examples" --seed "$seed" --checks no_fault_of_ours --continue-on-failure --request-timeout 30 \
    --generation-database none --suppress-health-check all || status=$?
# INTERNAL would be a fault of ours even with status 200.
if grep -E "a field failed for a fault of ours|panicked" "$folder/output"; then status=1; fi
ask '{ orders(first: 1) { nodes { id } } }' >/dev/null || { echo "fuzz: the server does not answer any more"; status=1; }
exit "$status"
