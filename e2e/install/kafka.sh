#!/bin/sh
# Puts the jars of Apache Kafka into .cache/kafka/libs and those of Kafka Streams and Connect's file connectors into
# .cache/kafka/streams, once.
set -eu
cd "$(dirname "$0")"
. ./retry.sh
kafka=$(cd ../.. && pwd)/.cache/kafka
copy() {
	[ ! -e "$kafka/$2/.complete" ] || return 0
	retry mvn -q -B -f "$1" dependency:copy-dependencies -DoutputDirectory="$kafka/$2" -DincludeScope=runtime
	touch "$kafka/$2/.complete"
}
copy pom.xml libs
copy streams.xml streams
