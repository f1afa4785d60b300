# retry runs a command again, up to three times, for registries that are away for a moment.
retry() {
	for pause in 2 10 30; do
		! "$@" || return 0
		sleep "$pause"
	done
	"$@"
}
