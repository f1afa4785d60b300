module kelp/bench

go 1.26.0

require (
	github.com/google/pprof v0.0.0-20261105003125-4bf881d7fb0b
	github.com/pierrec/lz4/v4 v4.1.33
	github.com/twmb/franz-go v1.22.2
	github.com/twmb/franz-go/pkg/kmsg v1.15.0
	golang.org/x/sync v0.24.0
	golang.org/x/sys v0.49.0
	kelp/e2e v0.0.0
)

require github.com/klauspost/compress v1.20.3 // indirect

replace (
	kelp => ../
	kelp/e2e => ../e2e
)
