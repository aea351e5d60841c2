# What `scripts/dev` and `scripts/test` need. `mkShell` brings a C compiler along, which one of the crates asks for.
{
  mkShell,
  cargo,
  chromium,
  clippy,
  pgbouncer,
  prometheus,
  rustc,
  rustfmt,
  servers,
}:

mkShell {
  packages = [
    cargo
    chromium
    clippy
    pgbouncer
    prometheus
    rustc
    rustfmt
  ]
  ++ servers;

  # Nix's folder for temporary files is open to its owner alone. Run by root, the tests' servers drop to another user,
  # who could not reach their data in it.
  shellHook = ''
    unset TMPDIR TMP TEMP TEMPDIR
  '';
}
