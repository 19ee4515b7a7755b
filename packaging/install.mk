# The C library as a system has its libraries. Paths may hold spaces, but no quotes.

PREFIX ?= /usr/local
INCLUDEDIR ?= $(PREFIX)/include
LIBDIR ?= $(PREFIX)/lib
DOCDIR ?= $(PREFIX)/share/doc/lithe
DESTDIR ?=
INSTALL ?= install
STRIP ?= strip

# Another profile of Cargo.toml may be asked for, such as `release`, which has line numbers.
PROFILE ?= dist
BUILT := $(TARGET)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)$(PROFILE)

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
ABI_VERSION := $(shell sed -n 's/^.define LITHE_ABI_VERSION //p' include/lithe.h)

# As it is built, as programs ask for it when they start, and as it is installed.
ifneq (,$(findstring darwin,$(or $(CARGO_BUILD_TARGET),$(subst D,d,$(shell uname -s)))))
SHARED_BUILT := liblithe.dylib
SHARED_NAME := liblithe.$(ABI_VERSION).dylib
SHARED_FILE := liblithe.$(VERSION).dylib
else
SHARED_BUILT := liblithe.so
SHARED_NAME := liblithe.so.$(ABI_VERSION)
SHARED_FILE := liblithe.so.$(VERSION)
endif

HEADERS := include/lithe.h include/lithe.hpp
PC_FILES := lithe.pc lithe-static.pc
CMAKE_FILES := lithe-config.cmake lithe-config-version.cmake
DOCUMENTS := README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE

# All that the library is made of, so that cargo is not needed where it is built already: what one
# user has built, root installs.
LIBRARY_SOURCES := Cargo.toml Cargo.lock build.rs cbindgen.toml $(shell find src -name '*.rs')

# What the archive needs of the system, in rustc's words; but for what every C compiler links by
# itself, of which libgcc_s would rule out programs that are static altogether.
SYSTEM_LIBRARIES = $(filter-out -lgcc_s -lc -lSystem,$(shell cat $(BUILT)/liblithe.libs 2>/dev/null))

.PHONY: dist
dist: $(BUILT)/liblithe.stamp ## Build the C library for installing: small, without line numbers

# The stamp is for make; cargo does not write what is up to date, and it does not go by times alone.
$(BUILT)/liblithe.stamp: $(LIBRARY_SOURCES)
	$(CARGO) rustc --profile $(PROFILE) --locked --package lithe-rt --lib --features ffi \
	    --crate-type staticlib,cdylib -- \
	    --print native-static-libs=$(abspath $(BUILT)/liblithe.libs)
	@touch $@

.PHONY: system-libraries
system-libraries: dist
	@cat $(BUILT)/liblithe.libs

# From a template in packaging to a file: .pc or .cmake.
FILL = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
    -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
    -e 's|@SHARED_FILE@|$(SHARED_FILE)|' -e 's|@SHARED_NAME@|$(SHARED_NAME)|' \
    -e 's|@SYSTEM_LIBRARIES@|$(SYSTEM_LIBRARIES)|'

.PHONY: install
install: dist ## Install the C library: PREFIX=/usr/local, DESTDIR, LIBDIR, INCLUDEDIR
	@case '$(PREFIX)' in /*) ;; *) echo "PREFIX must be an absolute path" >&2; exit 1;; esac
	$(INSTALL) -d '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(DOCDIR)' \
	    '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(LIBDIR)/cmake/lithe'
	$(INSTALL) -m 644 $(HEADERS) '$(DESTDIR)$(INCLUDEDIR)'
	$(INSTALL) -m 644 $(BUILT)/liblithe.a '$(DESTDIR)$(LIBDIR)'
	$(STRIP) -S '$(DESTDIR)$(LIBDIR)/liblithe.a'
	$(INSTALL) -m 755 $(BUILT)/$(SHARED_BUILT) '$(DESTDIR)$(LIBDIR)/$(SHARED_FILE)'
	$(STRIP) -S -x '$(DESTDIR)$(LIBDIR)/$(SHARED_FILE)'
	ln -sf $(SHARED_FILE) '$(DESTDIR)$(LIBDIR)/$(SHARED_NAME)'
	ln -sf $(SHARED_NAME) '$(DESTDIR)$(LIBDIR)/$(SHARED_BUILT)'
	@for file in $(PC_FILES); do \
	    $(FILL) -e 's|^\([a-z]*dir\)=$(PREFIX)/|\1=$${prefix}/|' packaging/$$file.in \
	        > '$(DESTDIR)$(LIBDIR)/pkgconfig'/$$file || exit; \
	done
	@for file in $(CMAKE_FILES); do \
	    $(FILL) packaging/$$file.in > '$(DESTDIR)$(LIBDIR)/cmake/lithe'/$$file || exit; \
	done
	$(INSTALL) -m 644 $(DOCUMENTS) '$(DESTDIR)$(DOCDIR)'
	$(REFRESH)

# The system keeps a list of its shared libraries, which only root can have made anew. Whoever makes
# it at the same time has seen these files as well.
REFRESH = @if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then \
    ldconfig || true; fi

INSTALLED = $(addprefix '$(DESTDIR)$(INCLUDEDIR)'/,$(notdir $(HEADERS))) \
    $(addprefix '$(DESTDIR)$(LIBDIR)'/,liblithe.a $(SHARED_FILE) $(SHARED_NAME) $(SHARED_BUILT)) \
    $(addprefix '$(DESTDIR)$(LIBDIR)/pkgconfig'/,$(PC_FILES)) \
    $(addprefix '$(DESTDIR)$(LIBDIR)/cmake/lithe'/,$(CMAKE_FILES)) \
    $(addprefix '$(DESTDIR)$(DOCDIR)'/,$(DOCUMENTS))

.PHONY: uninstall
uninstall: ## Remove what `make install` has installed with the same settings
	rm -f $(INSTALLED)
	@rmdir '$(DESTDIR)$(LIBDIR)/cmake/lithe' '$(DESTDIR)$(DOCDIR)' 2>/dev/null || true
	$(REFRESH)

.PHONY: size
size: dist ## Say how large a C program is with the library in it
	@$(CC) -O2 -std=c11 -pthread -Iinclude -Wl,--gc-sections -s -o $(BUILT)/echo \
	    examples/c/echo.c $(BUILT)/liblithe.a $(SYSTEM_LIBRARIES)
	@$(STRIP) -S -o $(BUILT)/stripped.a $(BUILT)/liblithe.a
	@$(STRIP) -S -x -o $(BUILT)/stripped.so $(BUILT)/$(SHARED_BUILT)
	@cd $(BUILT) && wc -c echo stripped.a stripped.so | sed '$$d'

DEB ?= $(BUILT)/liblithe-dev_$(VERSION)_$(shell dpkg --print-architecture 2>/dev/null).deb
DEB_STAGE := $(abspath $(BUILT))/deb

.PHONY: deb
deb: dist ## Build a Debian package of the C library
	rm -rf '$(DEB_STAGE)'
	@$(MAKE) --no-print-directory install DESTDIR='$(DEB_STAGE)' PREFIX=/usr \
	    LIBDIR=/usr/lib/$$(dpkg-architecture -q DEB_HOST_MULTIARCH 2>/dev/null || $(CC) -print-multiarch) \
	    DOCDIR=/usr/share/doc/liblithe-dev
	mkdir '$(DEB_STAGE)/DEBIAN'
	sed -e 's|@VERSION@|$(VERSION)|' -e "s|@ARCHITECTURE@|$$(dpkg --print-architecture)|" \
	    packaging/control.in > '$(DEB_STAGE)/DEBIAN/control'
	dpkg-deb --root-owner-group --build '$(DEB_STAGE)' '$(DEB)'
