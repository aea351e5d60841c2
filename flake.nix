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

      packagesFor = pkgs: self.packages.${pkgs.stdenv.hostPlatform.system};

      # The private servers of `restaurant-system dev` and of the tests. PostgreSQL's major version is named because
      # kept data (`.dev/`) is of no use to another one. util-linux has `chrt`, with which RabbitMQ is started.
      serversOf = pkgs: [
        pkgs.postgresql_17
        pkgs.rabbitmq-server
        pkgs.util-linux
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

      overlays.default = final: _: {
        restaurant-system = final.callPackage ./nix/package.nix { };
      };

      nixosModules = {
        default = self.nixosModules.restaurant-system;
        # With the package as it was tested here, not built from the machine's nixpkgs.
        restaurant-system =
          { pkgs, ... }:
          {
            imports = [ ./nix/module ];
            services.restaurant-system.package = lib.mkDefault (packagesFor pkgs).default;
          };
      };

      # `nix run` is `restaurant-system dev`; `nix run .#restaurant-system -- ARGUMENTS` is any other command.
      apps = forEachSystem (
        pkgs:
        let
          packages = packagesFor pkgs;
          app = package: program: {
            type = "app";
            inherit program;
            meta = { inherit (package.meta) description; };
          };
        in
        {
          default = app packages.dev (lib.getExe packages.dev);
          restaurant-system = app packages.restaurant-system (lib.getExe packages.restaurant-system);
          simulate = app packages.dev (lib.getExe' packages.dev "restaurant-system-simulate");
        }
      );

      checks = forEachSystem (
        pkgs:
        import ./nix/checks.nix {
          inherit lib pkgs;
          inherit (packagesFor pkgs) restaurant-system;
          module = self.nixosModules.default;
        }
      );

      devShells = forEachSystem (pkgs: {
        default = pkgs.callPackage ./nix/dev-shell.nix { servers = serversOf pkgs; };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);
    };
}
