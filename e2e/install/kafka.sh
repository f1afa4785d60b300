#!/bin/sh
# Puts the jars of Apache Kafka into .cache/kafka/libs, once.
set -eu
cd "$(dirname "$0")"
libs=$(cd ../.. && pwd)/.cache/kafka/libs
[ ! -e "$libs/.complete" ] || exit 0
mvn -q -B -f pom.xml dependency:copy-dependencies -DoutputDirectory="$libs" -DincludeScope=runtime
touch "$libs/.complete"
