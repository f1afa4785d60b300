SEEDS ?= 1-5000
CALLSEEDS ?= 1-200

.PHONY: torture help run run-seaweedfs run-seaweedmq test modules check build docs proto unit e2e e2e-seaweedfs bench

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: ## build and serve: Kafka on 127.0.0.1:9092, HTTP on 127.0.0.1:8080, data in ./data
	CGO_ENABLED=0 go build -o bin/kelp ./cmd/kelp
	exec bin/kelp serve

run-seaweedfs: ## build and serve with the records on a real SeaweedFS, installed by name, in ./data
	CGO_ENABLED=0 go build -o bin/kelp ./cmd/kelp
	sh e2e/install/seaweedfs.sh
	sh e2e/install/run-on-seaweedfs.sh

run-seaweedmq: ## build and serve beside a real SeaweedFS with broker and agent, with a topic that is mirrored to it, in ./data
	CGO_ENABLED=0 go build -o bin/kelp ./cmd/kelp
	sh e2e/install/seaweedfs.sh
	sh e2e/install/run-seaweedmq.sh

docs: ## rewrite the generated pages of docs/
	go test ./internal/config ./internal/api -update

PROTOC := .cache/protoc/bin/python -m grpc_tools.protoc

proto: ## rewrite the Go code of our .proto files
	test -x .cache/protoc/bin/pip || python3 -m venv .cache/protoc
	.cache/protoc/bin/pip -q install grpcio-tools==1.85.1
	GOBIN=$(CURDIR)/.cache/bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	GOBIN=$(CURDIR)/.cache/bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
	$(PROTOC) --plugin=.cache/bin/protoc-gen-go -I. \
		--go_out=. --go_opt=module=kelp internal/schema/record/record.proto
	$(PROTOC) --plugin=.cache/bin/protoc-gen-go --plugin=.cache/bin/protoc-gen-go-grpc -I. \
		--go_out=. --go_opt=module=kelp --go-grpc_out=. --go-grpc_opt=module=kelp \
		internal/seaweed/filerpb/filer.proto internal/seaweed/masterpb/master.proto \
		internal/seaweed/mqpb/topic.proto internal/seaweed/mqpb/broker.proto internal/seaweed/mqpb/agent.proto

build: ## compile everything, for every platform we ship
	go build ./...
	@for t in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
		echo "build $$t"; CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} go build -o /dev/null ./... || exit 1; done

LINT := .cache/bin/golangci-lint

$(LINT):
	. e2e/install/retry.sh; GOBIN=$(CURDIR)/.cache/bin retry go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

check: $(LINT) ## format, vet and lint
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt"; exit 1; }
	go vet ./...
	$(LINT) run ./...
	cd bench && go vet ./... && go test -count=1 ./...

unit: ## run the tests beside the code
	go test -count=1 -timeout 10m ./...

e2e: ## install what real clients need into .cache and run them against the binary and Apache Kafka
	sh e2e/install/all.sh
	CGO_ENABLED=0 go build -o bin/kelp ./cmd/kelp
	cd e2e && go vet ./... && KELP_E2E_BINARY=$(CURDIR)/bin/kelp go test -count=1 -p 1 -timeout 40m ./...
	cd e2e && KELP_E2E_BINARY=$(CURDIR)/bin/kelp go run ./onseaweedfs go test -count=1 -p 1 -timeout 15m -run $(CORE) $(CORES)

# What of the suites also runs on SeaweedFS each time: clients, groups, transactions, compaction and schemas, with restarts and kills.
CORE := 'TestSuite|TestCommittedOffsets|TestKillsLoseNothing|TestOperatorsEndTransactions'
CORES := ./franz ./kafkago ./compaction ./registry ./transactions

SUITES ?= ./franz ./sarama ./kafkago ./foreign ./crosswise ./tools ./groups ./transactions ./compaction ./registry ./streams ./connect ./crash ./diff

e2e-seaweedfs: ## the suites of e2e with every log on a real SeaweedFS (SUITES="./groups -run Members" chooses)
	sh e2e/install/all.sh
	CGO_ENABLED=0 go build -o bin/kelp ./cmd/kelp
	cd e2e && KELP_E2E_BINARY=$(CURDIR)/bin/kelp go run ./onseaweedfs go test -count=1 -p 1 -timeout 60m $(SUITES)

bench: ## compare with Apache Kafka in turns and print the ratios (BENCH="-scenario produce -rounds 5" chooses)
	sh e2e/install/kafka.sh
	cd bench && go run ./cmd/bench $(BENCH)

torture: ## the long forms: SEEDS=1-5000 of power losses, fuzzing, thousands of seeds of transactions, kill loops
	go test -count=1 -timeout 2h -run TestTorture ./internal/storage/embedded -seeds $(SEEDS)
	go test -count=1 -timeout 2h -run TestErrorAtEveryCall ./internal/storage/embedded -seeds $(CALLSEEDS)
	go test -count=1 -timeout 2h -run TestSchedules ./internal/storage/seaweedfs -seeds $(SEEDS)
	@for f in FuzzChunk FuzzParse FuzzRecover; do \
		go test -run xxx -fuzz "^$$f$$" -fuzztime 2m -fuzzminimizetime 1x ./internal/storage/embedded || exit 1; done
	cd e2e && go test -count=1 -timeout 30m ./crash -run Kill -for 5m
	cd e2e && go test -count=1 -timeout 30m ./crash -run FaultsOnSeaweedFS -for 10m
	go test -count=1 -timeout 60m ./internal/txn -run TestReadersSeeWholeTransactionsOnce -seeds 3000
	cd e2e && go test -count=1 -timeout 20m ./transactions -run TestKillUnderTransactions -for 5m
	cd e2e && go test -count=1 -timeout 60m ./seaweedmq -rounds 20 -records 1000000

modules: ## download the Go modules that everything needs
	. e2e/install/retry.sh; for m in . e2e bench; do (cd $$m && retry go mod download) || exit 1; done

test: modules check build unit e2e ## everything
