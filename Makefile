# SPDX-License-Identifier: GPL-2.0-only
# `make help` says what there is. Everything that is made lies in $(BUILD).

VERSION := 0.1.0

BUILD  ?= build
CC     ?= gcc
CLANG  ?= clang
STRIP  ?= llvm-strip
PREFIX ?= /usr/local
V      ?= 0

MAKEFLAGS += --no-print-directory
export V KEEP CLANG
export FL_BUILD := $(abspath $(BUILD))

ifeq ($(V),1)
Q :=
say :=
else
Q := @
say = @printf '  %-8s %s\n' '$(1)' '$(2)';
endif

# ---- what must be installed ----------------------------------------------------------------------------------------

PACKAGES_BUILD := gcc libc6-dev pkg-config clang llvm bpftool libbpf-dev libxdp-dev libelf-dev zlib1g-dev libevent-dev \
	libnl-3-dev libnl-route-3-dev libnl-genl-3-dev libjansson-dev libsmartcols-dev libcurl4-gnutls-dev libc-ares-dev nettle-dev \
	libssl-dev
PACKAGES_DEMO := iproute2 ethtool tcpdump iputils-ping procps netbase python3
PACKAGES_TEST := $(PACKAGES_DEMO) libcriterion-dev iptables nftables python3-scapy python3-jsonschema \
	curl ca-certificates xdp-tools qemu-system-x86 busybox-static kmod cpio xz-utils ppp systemd openvpn openssl \
	kea-dhcp4-server radvd charon-systemd strongswan-swanctl libcharon-extra-plugins \
	clang-19 ucarp conntrackd keepalived
PACKAGES_CHECK := clang-format clang-tidy shellcheck mandoc

# ---- sources ---------------------------------------------------------------------------------------------------------

USER_SRC   := $(sort $(wildcard user/*/*.c))
LIB_SRC    := $(filter user/lib/% user/config/%,$(USER_SRC))
CLI_SRC    := $(filter user/cli/% user/doctor/% user/drill/% user/system/%,$(USER_SRC))
HTTPS_SRC  := $(filter user/https/%,$(USER_SRC))
FAULT_SRC  := $(filter user/fault/%,$(USER_SRC))
PROBE_SRC  := $(filter user/probe/%,$(USER_SRC))
DAEMON_SRC := $(filter-out user/cli/% user/doctor/% user/drill/% $(HTTPS_SRC) $(FAULT_SRC) $(PROBE_SRC),$(USER_SRC))
MAIN_SRC   := user/daemon/main.c user/cli/main.c user/https/main.c user/fault/main.c user/probe/main.c
# Criterion programs with all of user/: that of selftests/unit needs no root, the other does
TEST_DIRS  := $(patsubst selftests/%/,%,$(sort $(dir $(wildcard selftests/unit/*.c selftests/net/*.c))))

BPF_SRC    := $(sort $(wildcard bpf/*.bpf.c selftests/*/*.bpf.c))
BPF_SKEL   := $(patsubst %.bpf.c,$(BUILD)/bpf/%.skel.h,$(notdir $(BPF_SRC)))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %.bpf.c,$(1)))

# ---- flags -----------------------------------------------------------------------------------------------------------

DAEMON_PKGS := libbpf libxdp libelf zlib libevent_core libevent_openssl libnl-3.0 libnl-route-3.0 libnl-genl-3.0 jansson libcares nettle \
	libssl libcrypto
CLI_PKGS    := jansson smartcols libbpf libnl-3.0 libnl-route-3.0 libnl-genl-3.0
HTTPS_PKGS  := libcurl
TEST_PKGS   := criterion

pkg_cflags = $(shell pkg-config --cflags $(1) 2>/dev/null)
pkg_libs   = $(shell pkg-config --libs $(1) 2>/dev/null)

WARNINGS  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
CFLAGS    ?= -O2 -g
ALL_CFLAGS := -std=gnu11 $(CFLAGS) $(WARNINGS) -D_GNU_SOURCE -DFAIRLEAD_VERSION='"$(VERSION)"' -I. -Iinclude -I$(BUILD)/bpf \
	$(call pkg_cflags,$(DAEMON_PKGS) $(CLI_PKGS) $(HTTPS_PKGS)) -MMD -MP
LDFLAGS   += -Wl,--as-needed

MULTIARCH  := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -Wall -Werror -Iinclude -Ibpf -I. -I/usr/include/$(MULTIARCH) -MMD -MP

# ---- build -----------------------------------------------------------------------------------------------------------

.PHONY: all skeletons unit deps deps-demo deps-test deps-check test bench demo install uninstall clean help \
	check check-format check-static check-shell check-manuals
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/fairleadd $(BUILD)/fairlead $(BUILD)/fairlead-https $(BUILD)/fairlead-fault $(BUILD)/fairlead-probe

skeletons: $(BPF_SKEL)

unit: $(addprefix $(BUILD)/,$(TEST_DIRS) prog-test rules-test)

# ignores itself, so that the tree needs no list of what is made
$(BUILD)/.gitignore:
	$(Q)mkdir -p $(@D) && echo '*' > $@
	$(Q)pkg-config --exists $(DAEMON_PKGS) $(CLI_PKGS) $(HTTPS_PKGS) || \
		{ rm -f $@; echo 'make: libraries are missing; `sudo make deps` installs them' >&2; exit 1; }

define bpf_rule
$(BUILD)/bpf/$(patsubst %.bpf.c,%,$(notdir $(1))).bpf.o: $(1) | $(BUILD)/.gitignore
	$$(call say,BPF,$$<)mkdir -p $$(@D)
	$$(Q)$$(CLANG) $$(BPF_CFLAGS) -MT $$@ -MF $$(@:.o=.d) -c $$< -o $$@
	$$(Q)$$(STRIP) -g $$@
endef
$(foreach src,$(BPF_SRC),$(eval $(call bpf_rule,$(src))))

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@){ echo '/* NOLINTBEGIN: not our code */' && bpftool gen skeleton $< name $* && echo '/* NOLINTEND */'; } > $@

# order only: which object really includes which skeleton is in the .d files
$(BUILD)/obj/%.o: %.c | $(BUILD)/.gitignore $(BPF_SKEL)
	$(call say,CC,$<)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/fairleadd: $(call obj,$(DAEMON_SRC))
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(DAEMON_PKGS))

$(BUILD)/fairlead: $(call obj,$(CLI_SRC) $(LIB_SRC))
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(CLI_PKGS))

# beside the daemon, which starts it for a request: libcurl is not in the daemon's memory
$(BUILD)/fairlead-https: $(call obj,$(HTTPS_SRC))
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(HTTPS_PKGS))

# beside the daemon too: what it does for a drill must be undone without it
$(BUILD)/fairlead-fault: $(call obj,$(FAULT_SRC) $(LIB_SRC))
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(CLI_PKGS))

# needs nothing where it is sent to
$(BUILD)/fairlead-probe: $(call obj,$(PROBE_SRC))
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -static -s -o $@ $^

# Criterion brings main() along
define test_rule
$(BUILD)/$(1): $(call obj,$(sort $(wildcard selftests/$(1)/*.c)) $(filter-out $(MAIN_SRC),$(USER_SRC)))
	$$(call say,LINK,$$@)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ \
		$$(call pkg_libs,$$(DAEMON_PKGS) $$(CLI_PKGS) $$(TEST_PKGS))
endef
$(foreach dir,$(TEST_DIRS),$(eval $(call test_rule,$(dir))))

# with the BPF programs, without the daemon's code but for what compiles rules, and the table that both work on. The programs of selftests
# are skeletons too
$(BUILD)/prog-test: $(call obj,$(wildcard selftests/prog/*.c user/policy/*.c user/config/*.c user/lib/*.c) \
	selftests/rules/generate.c selftests/rules/reference.c selftests/rules/sets.c)
$(BUILD)/bench: $(call obj,$(wildcard selftests/bench/*.c))
$(BUILD)/bench: | $(BUILD)/pinger
# by itself, since its memory is measured
$(BUILD)/pinger: $(call obj,selftests/bench/peer/pinger.c)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -pthread
$(BUILD)/prog-test $(BUILD)/bench:
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(DAEMON_PKGS)) -lm -pthread

# the compiler of rules, and the programs' code that reads what it makes
$(BUILD)/rules-test: $(call obj,$(wildcard selftests/rules/*.c user/policy/*.c user/config/*.c user/lib/*.c))
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(DAEMON_PKGS))

-include $(patsubst %.o,%.d,$(call obj,$(USER_SRC) $(wildcard selftests/*/*.c selftests/bench/peer/*.c))) $(BPF_SKEL:.skel.h=.bpf.d)

# ---- installing what is missing --------------------------------------------------------------------------------------

# $(call install_packages,list): does nothing, and needs no root, when all are there
define install_packages
	@missing=; for p in $(1); do \
		dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" != 0 ]; then \
		echo "make: not installed:$$missing; run \`sudo make $@\`" >&2; exit 1; \
	fi; \
	echo "installing:$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get -qq -o DPkg::Lock::Timeout=300 update && \
	apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install $$missing >/dev/null
endef

deps:
	$(call install_packages,$(PACKAGES_BUILD))

deps-demo:
	$(call install_packages,$(PACKAGES_BUILD) $(PACKAGES_DEMO))

# their packages would start them, now and at each boot; tests run them in namespaces
SERVICES_TEST := kea-dhcp4-server radvd strongswan conntrackd keepalived

deps-test:
	@[ "$$(id -u)" != 0 ] || for unit in $(SERVICES_TEST); do \
		[ -e /lib/systemd/system/$$unit.service ] || \
			{ mkdir -p /etc/systemd/system && ln -sf /dev/null /etc/systemd/system/$$unit.service; }; \
	done
	$(call install_packages,$(PACKAGES_BUILD) $(PACKAGES_TEST))

deps-check:
	$(call install_packages,$(PACKAGES_BUILD) $(PACKAGES_CHECK))

# ---- using it: a second make, since the first one asked pkg-config before the packages were there -------------------

# on all CPUs, unless make was told how many
PARALLEL = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

test: deps-test
	+$(Q)$(MAKE) $(PARALLEL) all unit $(BUILD)/bench
	$(Q)selftests/run

bench: deps-test
	+$(Q)$(MAKE) $(PARALLEL) all $(BUILD)/bench
	$(Q)selftests/bench/run

demo: deps-demo
	+$(Q)$(MAKE) $(PARALLEL) all
	$(Q)selftests/demo/run

C_FILES     = $(shell find include bpf user selftests -name '*.[ch]')
SHELL_FILES = $(shell find .ci configs selftests -type f -exec grep -lE -m1 '^\#!.*[/ ](ba)?sh( |$$)' {} +)
MAN_PAGES   = $(wildcard docs/man/*.[58])

# without those that judge taste, or that see an error wherever memcpy or snprintf is
TIDY_CHECKS := -*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*,bugprone-*,-bugprone-easily-swappable-parameters
TIDY_CHECKS := $(TIDY_CHECKS),-bugprone-narrowing-conversions,-bugprone-reserved-identifier,-bugprone-branch-clone
TIDY_CHECKS := $(TIDY_CHECKS),-bugprone-implicit-widening-of-multiplication-result,-bugprone-macro-parentheses
TIDY_CHECKS := $(TIDY_CHECKS),-bugprone-assignment-in-if-condition,-bugprone-suspicious-string-compare
# the skeletons ask not to be looked at themselves: what bpftool generates is not ours to mend
TIDY_FLAGS = $(filter-out -MMD -MP,$(ALL_CFLAGS))

check: deps-check
	+$(Q)$(MAKE) --keep-going check-format check-static check-shell check-manuals

check-format:
	$(call say,FORMAT,$(words $(C_FILES)) files)clang-format --dry-run --Werror $(C_FILES)

check-static:
	+$(Q)$(MAKE) skeletons
	$(call say,TIDY,$(words $(USER_SRC)) files)printf '%s\n' $(USER_SRC) | xargs -P $$(nproc) -I{} \
		clang-tidy --quiet --warnings-as-errors='*' --checks='$(TIDY_CHECKS)' {} -- $(TIDY_FLAGS) 2>/dev/null

check-shell:
	$(call say,SHELL,$(words $(SHELL_FILES)) files)shellcheck -x $(SHELL_FILES)

check-manuals:
	$(call say,MANDOC,$(MAN_PAGES))mandoc -T lint -W warning $(MAN_PAGES)

# ---- installing ------------------------------------------------------------------------------------------------------

SBIN    := $(DESTDIR)$(PREFIX)/sbin
LIBEXEC := $(DESTDIR)$(PREFIX)/libexec/fairlead
SHARE   := $(DESTDIR)$(PREFIX)/share
# units of the administrator's own lie in /etc, a distribution's in /usr/lib: /usr/local has its own place as well
UNITS   := $(DESTDIR)$(PREFIX)/lib/systemd/system

EXAMPLES = $(wildcard configs/*.json)

install: all
	install -d $(SBIN) $(LIBEXEC) $(SHARE)/fairlead/examples/hooks $(SHARE)/fairlead/examples/wazuh $(SHARE)/fairlead/examples/checks \
		$(SHARE)/doc/fairlead $(SHARE)/man/man5 $(SHARE)/man/man8 $(UNITS) $(DESTDIR)/etc/fairlead
	install -m 0755 $(BUILD)/fairleadd $(BUILD)/fairlead $(SBIN)
	install -m 0755 $(BUILD)/fairlead-https $(BUILD)/fairlead-fault $(BUILD)/fairlead-probe $(LIBEXEC)
	$(if $(wildcard docs/man/*.5),install -m 0644 $(wildcard docs/man/*.5) $(SHARE)/man/man5)
	install -m 0644 $(wildcard docs/man/*.8) $(SHARE)/man/man8
	install -m 0644 README.md $(wildcard docs/*.md) $(SHARE)/doc/fairlead
	$(if $(filter-out %.schema.json,$(EXAMPLES)),install -m 0644 $(filter-out %.schema.json,$(EXAMPLES)) $(SHARE)/fairlead/examples)
	install -m 0644 configs/README.md $(SHARE)/fairlead/examples
	install -m 0755 $(wildcard configs/hooks/*.sh) $(SHARE)/fairlead/examples/hooks
	install -m 0755 $(wildcard configs/checks/*.sh) $(SHARE)/fairlead/examples/checks
	install -m 0644 $(filter-out %.sh,$(wildcard configs/hooks/*)) $(SHARE)/fairlead/examples/hooks
	install -m 0644 $(wildcard configs/wazuh/*) $(SHARE)/fairlead/examples/wazuh
	$(if $(filter %.schema.json,$(EXAMPLES)),install -m 0644 $(filter %.schema.json,$(EXAMPLES)) $(SHARE)/fairlead)
	for unit in $(notdir $(wildcard configs/systemd/*)); do \
		sed 's|@sbindir@|$(PREFIX)/sbin|' configs/systemd/$$unit > $(UNITS)/$$unit && chmod 0644 $(UNITS)/$$unit || exit; \
	done

# leaves /etc/fairlead and /var/lib/fairlead: they are the user's
uninstall:
	rm -f $(SBIN)/fairleadd $(SBIN)/fairlead $(addprefix $(UNITS)/,$(notdir $(wildcard configs/systemd/*)))
	rm -f $(addprefix $(SHARE)/man/man5/,$(notdir $(wildcard docs/man/*.5))) \
		$(addprefix $(SHARE)/man/man8/,$(notdir $(wildcard docs/man/*.8)))
	rm -rf $(LIBEXEC) $(SHARE)/fairlead $(SHARE)/doc/fairlead

clean:
	rm -rf $(BUILD)

help:
	@echo 'make            build $(BUILD)/fairleadd, $(BUILD)/fairlead and $(BUILD)/fairlead-https'
	@echo 'make demo       (root) install what is missing, build, show a tunnel and a pair at work in network namespaces; KEEP=1 leaves the lab up'
	@echo 'make test       (root) install what is missing, build, run every test'
	@echo 'make bench      (root) measure'
	@echo 'make check      format, static analysis, shell scripts, manuals'
	@echo 'make install    under DESTDIR= and PREFIX= ($(PREFIX)); make uninstall takes it away'
	@echo 'make deps       (root) install what building needs; deps-demo, deps-test, deps-check: what those need as well'
	@echo 'make clean      remove $(BUILD)'
	@echo 'Variables: V=1 shows every command; CLANG=clang-19 another compiler for the BPF programs; BUILD=DIR'
