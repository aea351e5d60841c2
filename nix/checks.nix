# What `nix flake check` builds.
{
  lib,
  pkgs,
  restaurant-system,
  module,
}:

let
  # All of the Rust code: the package leaves out the tests.
  rustSource = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../askama.toml
      ../benches/speed
      ../build.rs
      ../clippy.toml
      ../config.example.yaml
      ../contrib
      ../crates
      ../docs
      ../migrations
      ../rustfmt.toml
      ../src
      ../systemd
      ../tests
      ../web
    ];
  };

  nixSource = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.fileFilter (file: file.hasExt "nix") ../.;
  };

  vmTest =
    test:
    pkgs.testers.runNixOSTest {
      imports = [ test ];
      defaults = {
        imports = [ module ];
        services.restaurant-system.package = restaurant-system;
      };
    };
in
{
  package = restaurant-system;

  clippy = restaurant-system.overrideAttrs (previous: {
    pname = "${previous.pname}-clippy";
    src = rustSource;
    nativeBuildInputs = previous.nativeBuildInputs ++ [ pkgs.clippy ];
    buildPhase = ''
      runHook preBuild
      cargo clippy --offline --locked --workspace --all-targets --features otlp -- --deny warnings
      runHook postBuild
    '';
    installPhase = "touch $out";
    dontFixup = true;
  });

  fmt =
    pkgs.runCommand "restaurant-system-fmt"
      {
        nativeBuildInputs = [
          pkgs.cargo
          pkgs.deadnix
          pkgs.nixfmt
          pkgs.rustfmt
        ];
      }
      ''
        cargo fmt --manifest-path ${rustSource}/Cargo.toml --all --check
        find ${nixSource} -name '*.nix' -exec nixfmt --check {} +
        deadnix --fail ${nixSource}
        touch $out
      '';

  module = import ./tests/module.nix {
    inherit
      lib
      pkgs
      restaurant-system
      module
      ;
  };

  vm-whole-path = vmTest ./tests/whole-path.nix;
  vm-crash = vmTest ./tests/crash.nix;
  vm-upgrade = vmTest ./tests/upgrade.nix;
  vm-two-machines = vmTest ./tests/two-machines.nix;
}
