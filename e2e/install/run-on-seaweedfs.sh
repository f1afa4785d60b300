#!/bin/sh
# Starts a SeaweedFS with its data in ./data/seaweedfs and Kelp on it. SeaweedFS has a session of its own: an interrupt ends
# Kelp first, which then ends SeaweedFS.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p data/seaweedfs
setsid .cache/seaweedfs/bin/weed server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=data/seaweedfs -filer -master.telemetry=false \
	-master.electionTimeout=1s -master.heartbeatInterval=100ms -volume.port=18333 -volume.max=40 -volume.preStopSeconds=0 >data/seaweedfs/weed.log 2>&1 &
weed=$!
trap 'kill "$weed" 2>/dev/null || :' EXIT
trap 'exit 0' INT TERM
for _ in $(seq 60); do
	! curl -fs http://127.0.0.1:9333/dir/assign >/dev/null || ! curl -fs http://127.0.0.1:8888/ >/dev/null || break
	sleep 1
done
bin/kelp serve --store seaweedfs://127.0.0.1:9333/kelp
