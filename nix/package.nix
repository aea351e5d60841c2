# The program, from the crates that Cargo.lock names.
{
  lib,
  rustPlatform,
}:

let
  manifest = (lib.importTOML ../Cargo.toml).package;
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;

  # Only what the build reads, so that a change of the tests or the documents builds nothing anew.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../LICENSE
      ../build.rs
      ../config.example.yaml
      ../migrations
      ../src
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;

  # The tests start PostgreSQL and RabbitMQ servers and take minutes: `scripts/test` runs them, in `nix develop`.
  doCheck = false;

  postInstall = ''
    install -D --mode=644 --target-directory=$out/share/doc/${manifest.name} LICENSE config.example.yaml
  '';

  meta = {
    inherit (manifest) description;
    license = lib.licenses.mit;
    mainProgram = manifest.name;
    platforms = lib.platforms.linux;
  };
}
