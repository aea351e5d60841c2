# Shared by the other scripts: what must be installed before anything can be built or run. POSIX sh, to be sourced.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Whether any of these paths exists; patterns are expanded by the caller.
any_exists() {
    for path in "$@"; do
        [ -e "$path" ] && return 0
    done
    return 1
}

# What a script needs beside it; to be defined again by those that do.
extra_packages() { :; }

# What some of the tests need: a private PgBouncer between the roles and PostgreSQL, a browser for the pages, and Prometheus.
packages_of_tests() {
    have pgbouncer || any_exists /usr/sbin/pgbouncer || echo pgbouncer
    have chromium || echo chromium
    have prometheus || echo prometheus
}

# The Debian packages that are needed and not there.
missing_packages() {
    have cc || echo gcc libc6-dev
    have make || echo make
    have initdb || any_exists /usr/lib/postgresql/*/bin/initdb || echo postgresql
    have rabbitmq-server || any_exists /usr/sbin/rabbitmq-server || echo rabbitmq-server
    extra_packages
}

# Installs what is missing. RUNLEVEL=1 keeps the packages from starting servers of their own: ours are private ones.
install_missing_packages() {
    packages=$(missing_packages | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    have apt-get || die "please install (Debian's names): $packages"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || die "please run as root: apt-get install $packages"
        as_root=sudo
    fi
    say "installing: $packages"
    # Old package lists may do; if not, the installation says so.
    $as_root apt-get update -qq || say "apt-get update failed: trying with the package lists that are there"
    # shellcheck disable=SC2086 # several packages
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends $packages >&2 || die "could not install: $packages"
}

# Where there is Nix and something is missing: runs the command, which is the script itself, inside the flake's shell,
# which has all of it. Returns where there is nothing to do; what is missing is then looked for in Debian's way.
enter_nix_shell() { # root command arguments…
    # Once only: what the shell does not bring is not there the second time either.
    [ -z "${SCRIPT_IN_NIX_SHELL:-}" ] || return 0
    have nix || return 0
    if have_cargo && [ -z "$(missing_packages)" ]; then
        return 0
    fi
    say "entering the shell of the flake (the first time downloads it)"
    flake=$1
    shift
    exec nix --extra-experimental-features 'nix-command flakes' develop "$flake" \
        --command env SCRIPT_IN_NIX_SHELL=1 "$@"
}

have_cargo() { have cargo || [ -x "$HOME/.cargo/bin/cargo" ]; }

require_cargo() {
    have cargo && return 0
    if have_cargo; then
        PATH="$HOME/.cargo/bin:$PATH"
        return 0
    fi
    die "no Rust toolchain: install one from https://rustup.rs, or Nix from https://nixos.org/download"
}
