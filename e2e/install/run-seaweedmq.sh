#!/bin/sh
# Starts a SeaweedFS with broker and agent of its message queue and a Kelp that mirrors to it, makes a structured topic with a
# schema, produces to it and shows the columns that arrive. Then everything goes on running, unless the first argument is once.
# Ports and folders can be chosen: see below; the names begin with DEMO_, as weed takes plain ones for its own flags. An interrupt ends all.
set -eu
cd "$(dirname "$0")/../.."
: "${DEMO_DATA:=data/seaweedmq}" "${DEMO_KELP:=bin/kelp}" "${DEMO_WEED:=.cache/seaweedfs/bin/weed}"
: "${DEMO_MASTER:=9333}" "${DEMO_VOLUME:=18080}" "${DEMO_FILER:=8888}" "${DEMO_BROKER:=17777}" "${DEMO_AGENT:=16777}" "${DEMO_KAFKA:=9092}" "${DEMO_REGISTRY:=8081}" "${DEMO_HTTP:=8080}"
mkdir -p "$DEMO_DATA/weed"
setsid "$DEMO_WEED" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$DEMO_DATA/weed" -filer -master.telemetry=false \
	-master.electionTimeout=1s -master.heartbeatInterval=100ms -volume.max=40 -volume.preStopSeconds=0 \
	-master.port="$DEMO_MASTER" -master.port.grpc=$((DEMO_MASTER + 10000)) -volume.port="$DEMO_VOLUME" -volume.port.grpc=$((DEMO_VOLUME + 10000)) \
	-filer.port="$DEMO_FILER" -filer.port.grpc=$((DEMO_FILER + 10000)) -mq.broker -mq.broker.port="$DEMO_BROKER" \
	-mq.agent -mq.agent.port="$DEMO_AGENT" -mq.agent.brokers="127.0.0.1:$DEMO_BROKER" >"$DEMO_DATA/weed.log" 2>&1 &
weed=$!
kelp=
trap '[ -z "$kelp" ] || kill "$kelp" 2>/dev/null || :; kill "$weed" 2>/dev/null || :; wait' EXIT
trap 'exit 0' INT TERM
await() { # what, command
	what=$1
	shift
	for _ in $(seq 600); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.2
	done
	echo "$what is not ready; see $DEMO_DATA" >&2
	exit 1
}
await SeaweedFS curl -fs "http://127.0.0.1:$DEMO_MASTER/dir/assign"
await "the filer" curl -fs "http://127.0.0.1:$DEMO_FILER/"
setsid "$DEMO_KELP" serve --data "$DEMO_DATA/kelp" --listen "127.0.0.1:$DEMO_KAFKA" --registry "127.0.0.1:$DEMO_REGISTRY" --http "127.0.0.1:$DEMO_HTTP" \
	--seaweedmq-master "127.0.0.1:$DEMO_MASTER" >"$DEMO_DATA/kelp.log" 2>&1 &
kelp=$!
await Kelp curl -fs "http://127.0.0.1:$DEMO_HTTP/readyz"
export KELP_SERVER="127.0.0.1:$DEMO_KAFKA"
"$DEMO_KELP" topic create orders --partitions 2 --config kelp.seaweedmq.publish=structured || :
curl -fs -H 'Content-Type: application/json' "http://127.0.0.1:$DEMO_REGISTRY/subjects/orders-value/versions" -d '{"schemaType":"JSON","schema":
	"{\"type\":\"object\",\"properties\":{\"customer\":{\"type\":\"string\"},\"total\":{\"type\":\"number\"}},\"required\":[\"customer\"]}"}'
echo
id=$(curl -fs "http://127.0.0.1:$DEMO_REGISTRY/subjects/orders-value/versions/1" | sed 's/.*"id":\([0-9]*\).*/\1/')
envelope=$(printf '\\000\\000\\000\\000\\%03o' "$id")
{
	printf "$envelope"'{"customer":"Ada","total":12.5}\n'
	printf "$envelope"'{"customer":"Bea","total":99.9}\n'
	printf "$envelope"'{"customer":"Cleo"}\n'
} | "$DEMO_KELP" produce orders
show() { "$DEMO_KELP" seaweedmq show orders --master "127.0.0.1:$DEMO_MASTER" --filer "127.0.0.1:$DEMO_FILER" --columns customer,total,kafka_partition,kafka_offset; }
arrived() { [ "$(show | wc -l)" -ge 3 ]; }
await "the mirror" arrived
show
"$DEMO_KELP" seaweedmq status --http "127.0.0.1:$DEMO_HTTP"
[ "${1-}" != once ] || exit 0
cat <<END

Produce more with     kelp produce orders --server $KELP_SERVER
look at it with       kelp seaweedmq show orders --master 127.0.0.1:$DEMO_MASTER
make Parquet with     echo 'mq.topic.compact -namespace kafka -topic orders -timeAgo 1m' | weed shell -master=127.0.0.1:$DEMO_MASTER
END
wait "$kelp"
