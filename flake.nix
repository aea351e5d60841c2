{
  description = "A distributed restaurant order management system on PostgreSQL and RabbitMQ";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      forEachSystem =
        f:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: f nixpkgs.legacyPackages.${system});

      # The private servers of `restaurant-system dev` and of the tests. PostgreSQL's major version is named because
      # kept data (`.dev/`) is of no use to another one.
      serversOf = pkgs: [
        pkgs.postgresql_17
        pkgs.rabbitmq-server
      ];
    in
    {
      packages = forEachSystem (
        pkgs:
        let
          restaurant-system = pkgs.callPackage ./nix/package.nix { };
        in
        {
          inherit restaurant-system;
          default = restaurant-system;
          dev = pkgs.callPackage ./nix/dev.nix {
            inherit restaurant-system;
            servers = serversOf pkgs;
          };
        }
      );

      # `nix run` is `restaurant-system dev`; `nix run .#restaurant-system -- ARGUMENTS` is any other command.
      apps = forEachSystem (
        pkgs:
        let
          packages = self.packages.${pkgs.stdenv.hostPlatform.system};
          app = package: {
            type = "app";
            program = lib.getExe package;
            meta = { inherit (package.meta) description; };
          };
        in
        {
          default = app packages.dev;
          restaurant-system = app packages.restaurant-system;
        }
      );

      devShells = forEachSystem (pkgs: {
        default = pkgs.callPackage ./nix/dev-shell.nix { servers = serversOf pkgs; };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);
    };
}
