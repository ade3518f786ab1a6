# make          build bin/thinker
# make demo     train a small visual reasoner from nothing and write demo/report.html; DEMO="--out DIR --seed S" for others
# make test     pass the tests
# make bench    every kernel against the roof of this machine
# make lib      build/libthinker_cpu.so, for programs built without cgo
# make race sanitize purego clang fuzz lint      the further checks of .ci/run
GO ?= go
FUZZTIME ?= 5s

.PHONY: all demo test bench lib race sanitize purego clang fuzz lint clean
all:
	$(GO) build -o bin/ ./tools/thinker

demo: all
	bin/thinker demo $(DEMO)

test:
	$(GO) test ./...

bench:
	$(GO) test -run '^$$' -bench . ./bench

lib: build/libthinker_cpu.so
build/libthinker_cpu.so: $(wildcard csrc/*.c csrc/*.h csrc/*/*.h) CMakeLists.txt
	cmake -S . -B build -DCMAKE_BUILD_TYPE=Release
	cmake --build build --parallel

# With -short, tests keep what several goroutines do and repeat it less: the detector makes Go some ten times slower. The longest packages
# come first, lest a core wait for the last.
race:
	$(GO) test -timeout 30m -race -short ./tools/thinker ./grpo ./engine ./...

# The C kernels on every instruction set, under the address and undefined-behaviour sanitizers.
sanitize:
	CGO_CFLAGS="-fsanitize=undefined,float-cast-overflow -fno-sanitize-recover=all" CGO_LDFLAGS="-fsanitize=undefined" $(GO) test -timeout 30m -asan ./binding/...

# The build without a C compiler, over the shared library, whose calls are what differs. (-count=1: a test's cached result knows the library's
# path alone.)
purego: lib
	CGO_ENABLED=0 THINKER_CPU_LIB=$(CURDIR)/build/libthinker_cpu.so $(GO) test -count=1 -short ./binding/... ./engine ./grpo ./tools/...

# The kernels from the other compiler.
clang:
	CC=clang cmake -S . -B build/clang -DCMAKE_BUILD_TYPE=Release
	cmake --build build/clang --parallel
	CGO_ENABLED=0 THINKER_CPU_LIB=$(CURDIR)/build/clang/libthinker_cpu.so $(GO) test -count=1 ./binding/...
	CC=clang $(GO) build ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change these files"; exit 1; }
	$(GO) vet ./...
	CGO_ENABLED=0 $(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# Every fuzz target for FUZZTIME, two at a time.
fuzz: lib
	.ci/fuzz $(FUZZTIME)

clean:
	rm -rf bin build
