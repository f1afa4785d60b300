#!/bin/sh
# Puts Apicurio's schema registry into .cache/apicurio, once: a registry of others for e2e/registry.
set -eu
cd "$(dirname "$0")"
. ./retry.sh
version=2.6.13.Final
apicurio=$(cd ../.. && pwd)/.cache/apicurio
[ ! -e "$apicurio/.complete" ] || exit 0
mkdir -p "$apicurio"
retry mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$apicurio" \
	-Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all"
tar -xzf "$apicurio/apicurio-registry-app-$version-all.tar.gz" -C "$apicurio"
rm "$apicurio/apicurio-registry-app-$version-all.tar.gz"
mv "$apicurio/apicurio-registry-app-$version-runner.jar" "$apicurio/runner.jar"
touch "$apicurio/.complete"
