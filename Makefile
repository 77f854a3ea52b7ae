# make help lists the targets.

GO ?= go
FOR ?=
FUZZTIME ?= 5m
GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
HELM_DOCS = github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
REDOCLY = @redocly/cli@1.34.5

# Checks Go, and installs what a new Debian lacks.
need = .ci/need-go $(GO) && .ci/install-deps

# Programs and the Debian packages that contain them, as PROGRAM:PACKAGE.
need_go = /etc/ssl/certs/ca-certificates.crt:ca-certificates
need_prosody = prosody:prosody
need_ejabberd = /usr/sbin/ejabberdctl:ejabberd
need_cluster = nats-server:nats-server /usr/sbin/nginx:nginx-light
need_test = $(need_go) $(need_prosody) gcc:gcc /usr/include/stdlib.h:libc6-dev \
	script:bsdutils curl:curl jq:jq python3:python3 /usr/lib/python3/dist-packages/requests:python3-requests \
	/usr/lib/python3/dist-packages/slixmpp:python3-slixmpp \
	node:nodejs /usr/share/nodejs/axios:node-axios busted:lua-busted \
	prometheus:prometheus promtool:prometheus $(need_cluster) caddy:caddy chromium:chromium soffice:libreoffice-calc-nogui npm:npm systemd-analyze:systemd \
	/usr/sbin/mosquitto:mosquitto mosquitto_sub:mosquitto-clients \
	/usr/lib/python3/dist-packages/yaml:python3-yaml /usr/lib/python3/dist-packages/jinja2:python3-jinja2 \
	ansible-playbook:ansible-core nix-instantiate:nix-bin

# "make lint" vets. The race detector sees the Go code in "make test", so the run with Prosody 13 does without.
test_flags = -shuffle=on -vet=off -parallel 8 -timeout 20m

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

.PHONY: build
build: ## build the programs into bin/
	@$(need) $(need_go)
	$(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: image
image: ## build the container image ppch; VERSION=2.0.0 sets the version
	docker build -t ppch $(if $(VERSION),--build-arg VERSION=$(VERSION)) \
		--build-arg COMMIT="$$(git describe --always --dirty --abbrev=40 --exclude '*')" \
		--build-arg DATE="$$(TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)" .

.PHONY: release-dry-run
release-dry-run: ## build the files of a release into dist/, without publishing them; VERSION=2.0.0 sets the version
	@$(need) $(need_go) git:git
	GO="$(GO)" VERSION="$(VERSION)" .ci/release

.PHONY: demo
demo: ## run PPCH with a real Prosody and simulated people; FOR=20s stops after 20 s
	@$(need) $(need_go) $(need_prosody)
	@$(GO) build -trimpath -o bin/ ./cmd/...
	@bin/ppch-demo $(if $(FOR),--for $(FOR))

.PHONY: demo-cluster
demo-cluster: ## the same with several Prosodys and instances of PPCH, over NATS and behind nginx
	@$(need) $(need_go) $(need_prosody) $(need_cluster)
	@$(GO) build -trimpath -o bin/ ./cmd/...
	@bin/ppch-demo --cluster $(if $(FOR),--for $(FOR))

.PHONY: check
check: ## build, vet and run the tests that need only Go, in less than a minute
	@.ci/need-go $(GO)
	$(GO) build ./...
	$(GO) vet ./...
	$(GO) test -short ./...

.PHONY: test
test: ## run all tests with the installed Prosody
	@$(need) $(need_test)
	cd prosody && busted --lua=lua5.4 spec
	PPCH_REQUIRE_PROSODY=1 $(GO) test -race $(test_flags) ./...
	$(GO) test -run '^TestModel_' ./component/cluster
	PPCH_CLUSTER_SEEDS=3 PPCH_CLUSTER_SECONDS=10 $(GO) test -parallel 3 -run '^TestCluster_SameTruth' ./cmd/ppch

.PHONY: test-prosody13
test-prosody13: ## run the tests that start a Prosody with Prosody 13 from Debian 13
	@$(need) $(need_test) mmdebstrap:mmdebstrap
	PPCH_TEST_PROSODY="$$(prosody/prosodytest/fetch-prosody13)" && export PPCH_TEST_PROSODY && \
	selected="$$($(GO) run .ci/prosody-tests.go $$($(GO) list -f '{{.Dir}}' ./...))" && \
	PPCH_REQUIRE_PROSODY=1 $(GO) test $(test_flags) $$selected

.PHONY: test-compose
test-compose: ## test images and compose files on a private Docker engine, as root
	@$(need) $(need_go) git:git dockerd:docker.io slirp4netns:slirp4netns mmdebstrap:mmdebstrap
	$(GO) test -c -o /dev/null ./cmd/ppch
	.ci/with-docker sh -c '.ci/base-images && $(MAKE) image && $(GO) test -count=1 -timeout 60m -v -run "^TestDocker|^TestImage_" ./cmd/ppch'

.PHONY: test-package
test-package: ## test the Debian package in a new Debian with systemd, as root
	@$(need) $(need_go) git:git mmdebstrap:mmdebstrap systemd-nspawn:systemd-container
	GO="$(GO)" .ci/test-package

.PHONY: test-deploy
test-deploy: ## test the Helm chart, the Grafana board and the alerting rules
	@$(need) $(need_go) promtool:prometheus
	cd cmd/ppch/deploy/deploytest && $(GO) mod tidy -diff && $(GO) vet ./... && $(GO) test -count=1 ./...
	cd cmd/ppch/deploy/helm/ppch && $(GO) run $(HELM_DOCS) --log-level warning --dry-run | diff README.md -
	promtool check rules cmd/ppch/deploy/prometheus/alerts.yaml
	promtool test rules cmd/ppch/deploy/prometheus/alerts_test.yaml

.PHONY: lint
lint: ## run golangci-lint, govulncheck, luacheck and a check of words, and redocly on openapi.yaml
	@$(need) $(need_go) git:git gcc:gcc /usr/include/stdlib.h:libc6-dev luacheck:lua-check npx:npm
	.ci/words
	$(GO) mod tidy -diff
	$(GO) run $(GOLANGCI_LINT) run ./...
	.ci/vulncheck $(GO) $(GOVULNCHECK)
	luacheck -q --config prosody/.luacheckrc prosody
	REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --yes $(REDOCLY) lint --config .redocly.yaml api/openapi.yaml

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME
	@$(need) $(need_go)
	$(GO) test -run '^$$' -fuzz '^FuzzNames$$' -fuzztime $(FUZZTIME) ./component/occupancy
	$(GO) test -run '^$$' -fuzz FuzzNames_RoundTrip -fuzztime $(FUZZTIME) ./component/occupancy
	$(GO) test -run '^$$' -fuzz FuzzGuard -fuzztime $(FUZZTIME) ./component/stream
	$(GO) test -run '^$$' -fuzz FuzzNeutralizer -fuzztime $(FUZZTIME) ./component/stream
	$(GO) test -run '^$$' -fuzz FuzzShards -fuzztime $(FUZZTIME) ./cmd/ppch/config
	$(GO) test -run '^$$' -fuzz FuzzLastEventID -fuzztime $(FUZZTIME) ./api/events
	$(GO) test -run '^$$' -fuzz FuzzBadge -fuzztime $(FUZZTIME) ./api/web
	$(GO) test -run '^$$' -fuzz FuzzBatch -fuzztime $(FUZZTIME) ./component/protocol
	$(GO) test -run '^$$' -fuzz FuzzMessage -fuzztime $(FUZZTIME) ./component/cluster
	$(GO) test -run '^$$' -fuzz FuzzSeal -fuzztime $(FUZZTIME) ./component/cluster
	$(GO) test -run '^$$' -fuzz FuzzAnswer -fuzztime $(FUZZTIME) ./component/history
	$(GO) test -run '^$$' -fuzz FuzzQuestion -fuzztime $(FUZZTIME) ./component/history
	$(GO) test -run '^$$' -fuzz FuzzEntry -fuzztime $(FUZZTIME) ./component/bucket
	$(GO) test -run '^$$' -fuzz FuzzCommand -fuzztime $(FUZZTIME) ./component/adhoc
	$(GO) test -run '^$$' -fuzz FuzzForm -fuzztime $(FUZZTIME) ./component/adhoc
	$(GO) test -run '^$$' -fuzz FuzzHandler -fuzztime $(FUZZTIME) ./component/admin
	$(GO) test -run '^$$' -fuzz FuzzListQuery -fuzztime $(FUZZTIME) ./api
	$(GO) test -run '^$$' -fuzz FuzzKeys -fuzztime $(FUZZTIME) ./api/keys
	$(GO) test -run '^$$' -fuzz FuzzTemplate -fuzztime $(FUZZTIME) ./api/webhook
	$(GO) test -run '^$$' -fuzz FuzzURL -fuzztime $(FUZZTIME) ./api/webhook
	$(GO) test -run '^$$' -fuzz FuzzEnvFile -fuzztime $(FUZZTIME) ./cmd/ppch/jitsi
	$(GO) test -run RootRaces -count=1 ./cmd/ppch/jitsi -races 200
	$(GO) test -run '^$$' -fuzz FuzzClean -fuzztime $(FUZZTIME) ./cmd/ppch/terminal

# A missing peer or wrk is named in the table; without mmdebstrap Prosody 13 is left out.
.PHONY: bench
bench: build ## compare PPCH with its peers, in half an hour, and write the table in cmd/ppch-bench/README.md
	@.ci/install-deps $(need_prosody)
	-@.ci/install-deps wrk:wrk
	-@.ci/install-deps $(need_ejabberd)
	-@.ci/install-deps mmdebstrap:mmdebstrap
	other="$$(prosody/prosodytest/fetch-prosody13)" || other=; bin/ppch-bench --write $${other:+--prosody "" --prosody "$$other"}
	$(GO) test -run "^$$" -bench "^BenchmarkAttendance_|^BenchmarkReads_WhileRecording" ./component/history ./api
	PPCH_ATTACKS=full $(GO) test -count=1 -v -run '^TestAttacks_' ./cmd/ppch

.PHONY: bench-quick
bench-quick: build ## the same in two minutes, with fewer measurements; writes no file
	@.ci/install-deps $(need_prosody)
	-@.ci/install-deps wrk:wrk
	-@.ci/install-deps $(need_ejabberd)
	bin/ppch-bench --quick

.PHONY: clean
clean: ## remove bin/
	rm -rf bin
