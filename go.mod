module kelp

go 1.26
