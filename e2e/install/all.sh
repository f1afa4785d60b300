#!/bin/sh
# Installs by name what the end-to-end tests need, into .cache of the repository, once.
set -eu
cd "$(dirname "$0")"
. ./retry.sh
cache=$(cd ../.. && pwd)/.cache
mkdir -p "$cache"
sh ./kafka.sh
sh ./seaweedfs.sh
sh ./apicurio.sh
if [ ! -e "$cache/python/.complete" ]; then
	python3 -m venv "$cache/python"
	retry "$cache/python/bin/pip" -q install confluent-kafka==2.16.1
	touch "$cache/python/.complete"
fi
if [ ! -e "$cache/node/.complete" ]; then
	mkdir -p "$cache/node"
	retry npm --prefix "$cache/node" install --silent --no-audit --no-fund kafkajs@2.2.4
	touch "$cache/node/.complete"
fi
# Serializers of schema registries, for e2e/registry.
if [ ! -e "$cache/python/.schemas" ]; then
	retry "$cache/python/bin/pip" -q install 'confluent-kafka[avro,json,protobuf,schemaregistry]==2.16.1' grpcio-tools==1.85.1
	touch "$cache/python/.schemas"
fi
if [ ! -e "$cache/node/.schemas" ]; then
	retry npm --prefix "$cache/node" install --silent --no-audit --no-fund \
		@kafkajs/confluent-schema-registry@4.1.0 @confluentinc/schemaregistry@1.10.1
	touch "$cache/node/.schemas"
fi
if ! command -v kcat >/dev/null; then
	retry apt-get -q update >/dev/null
	retry apt-get install -y -q kcat >/dev/null
fi
