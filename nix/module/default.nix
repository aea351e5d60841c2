# services.restaurant-system: the roles, their servers, and what is secret.
{
  imports = [
    ./options.nix
    ./services.nix
    ./servers.nix
    ./monitoring.nix
    ./assertions.nix
  ];
}
