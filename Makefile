# Everything a person types here, in two words.

.DEFAULT_GOAL := help
.PHONY: help run test test-stress test-kill test-flood test-fabric test-official test-contract test-browser fuzz bench bench-fabric lint

help:
	@echo 'make run    build gx and start the whole system on this machine (Ctrl-C stops it)'
	@echo '            ARGS="--fresh" starts over, ARGS="--data-dir DIR" keeps its data in DIR'
	@echo '            PROFILE=release builds a fast gx, which takes three times as long'
	@echo 'make test   every test, against a PostgreSQL that the tests start by themselves, 200 seeds of'
	@echo '            the simulation, Fabric'"'"'s own Node software against a development ledger,'
	@echo '            generated requests, and passkeys in Chromium; a failure keeps nothing after it'
	@echo '            from running'
	@echo 'make test-stress   the suite three times while every core is busy twice over; RUNS=1 says how'
	@echo '            often, ARGS="-p gx-outbox" which tests'
	@echo 'make test-kill   kills and freezes processes under load; ROUNDS=100 says how often'
	@echo 'make test-flood   floods three processes for a minute, and once more around an outage of Redis;'
	@echo '            prints how many requests were admitted next to what the limits state. Floods gx'
	@echo '            dev with sign-ins and prints its memory; ARGS=flood::memory does only this'
	@echo 'make test-fabric   the scenarios of ledger and workers on a real Fabric network; FABRIC_BIN'
	@echo '            names the folder with its programs, FABRIC_LAB the one with its scripts'
	@echo 'make test-official   only those that run Fabric'"'"'s own Node software; ARGS=--lab: against'
	@echo '            a network of Fabric'"'"'s binaries (tests/node/README.md)'
	@echo 'make test-contract   lints the OpenAPI documents, and sends each service REQUESTS=2000 requests that'
	@echo '            are generated from them (tests/contract/README.md)'
	@echo 'make test-browser   signs in with passkeys in Chromium, with its virtual authenticator'
	@echo '            (tests/browser/README.md)'
	@echo 'make fuzz   sends files that libFuzzer makes up the whole way of a document in; MINUTES=10 says'
	@echo '            how long'
	@echo 'make bench  how close GX is to what this machine can do; ROWS=a,b chooses rows,'
	@echo '            COMPARE=FILE shows what has changed since an earlier results.json'
	@echo 'make bench-fabric   the row of a real Fabric network; FABRIC_BIN as for make test-fabric'
	@echo 'make lint   formatting, lints, licences and sources of dependencies'
	@echo 'Each installs what is missing first; see scripts/setup.'

run:
	@exec scripts/run $(ARGS)

test:
	@exec scripts/test

test-stress:
	@exec scripts/test-stress $(ARGS)

test-kill:
	@scripts/setup
	@. scripts/environment && ROUNDS=$${ROUNDS:-100} cargo test --locked --package gx \
	  --test it -- --ignored --exact --nocapture \
	  kill::rounds::money_moves_once_whatever_is_killed_or_frozen_many_times

test-flood:
	@exec scripts/test-flood $(ARGS)

test-fabric:
	@exec scripts/test-fabric

test-official:
	@scripts/test-official $(ARGS)

test-contract:
	@exec scripts/test-contract $(ARGS)

test-browser:
	@exec scripts/test-browser $(ARGS)

fuzz:
	@exec scripts/fuzz $(ARGS)

bench:
	@ROWS='$(ROWS)' COMPARE='$(COMPARE)' exec scripts/bench $(ARGS)

bench-fabric:
	@exec scripts/bench-fabric $(ARGS)

lint:
	@exec scripts/lint
