# The program from the crates that Cargo.lock names, its systemd units, completions and manual pages.
{
  lib,
  stdenv,
  rustPlatform,
  coreutils,
  installShellFiles,
}:

let
  manifest = lib.importTOML ../Cargo.toml;
  inherit (manifest.package) name description;
in
rustPlatform.buildRustPackage {
  pname = name;
  inherit (manifest.workspace.package) version;

  # Only what the build reads, so that a change of the tests or of other documents builds nothing anew.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../LICENSE
      ../askama.toml
      ../build.rs
      ../config.example.yaml
      ../contrib
      ../crates
      ../docs/METRICS.md
      ../docs/OPERATIONS.md
      ../docs/RUNBOOK.md
      ../migrations
      ../src
      ../systemd
      ../web
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;

  # Traces; nothing of it is loaded where no collector is named.
  buildFeatures = [ "otlp" ];

  nativeBuildInputs = [ installShellFiles ];

  # jemalloc would be made for the pages of the machine that builds it; there are ARM kernels with pages of 64 KiB.
  env = lib.optionalAttrs stdenv.hostPlatform.isAarch64 { JEMALLOC_SYS_WITH_LG_PAGE = "16"; };

  # The tests start PostgreSQL and RabbitMQ servers and take minutes: `scripts/test` runs them, in `nix develop`.
  doCheck = false;

  # The units are those of every other installation, with this package's paths.
  postInstall = ''
    install -D --mode=644 --target-directory=$out/share/doc/${name} LICENSE config.example.yaml contrib/menu.example.yaml docs/{METRICS,OPERATIONS,RUNBOOK}.md
    install -D --mode=644 --target-directory=$out/share/doc/${name}/prometheus contrib/prometheus/*
    install -D --mode=644 --target-directory=$out/share/doc/${name}/grafana contrib/grafana/*
    install -D --mode=644 --target-directory=$out/lib/systemd/system systemd/*
    for unit in $out/lib/systemd/system/*; do
      substituteInPlace "$unit" --replace-quiet /usr/share/doc/ $out/share/doc/
    done
    for unit in $out/lib/systemd/system/*.service; do
      substituteInPlace "$unit" --replace-fail ExecStart=/usr/bin/ ExecStart=$out/bin/
      # Program, libraries and `kill` are in the store, and nothing there can be changed.
      substituteInPlace "$unit" --replace-fail "ExecPaths=/usr/bin/restaurant-system -/usr/bin/kill -/usr/lib -/usr/lib64" \
        "ExecPaths=${builtins.storeDir}"
      substituteInPlace "$unit" --replace-quiet ExecReload=kill ExecReload=${lib.getExe' coreutils "kill"}
    done
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    $out/bin/${name} man man-pages
    installManPage man-pages/*
    for shell in bash fish zsh; do
      $out/bin/${name} completions $shell > completions
      installShellCompletion --cmd ${name} --$shell completions
    done
  '';

  meta = {
    inherit description;
    license = lib.licenses.mit;
    mainProgram = name;
    platforms = lib.platforms.linux;
  };
}
