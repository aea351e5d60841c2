# On `one`, the primary with RabbitMQ, and on `two`, the standby.
{ config, ... }:

let
  isOne = config.networking.hostName == "one";
in
{
  services.restaurant-system = {
    enable = true;
    database = {
      createLocally = true;
      host = [
        "one"
        "two"
      ];
      passwordFile = "/run/secrets/restaurant-database";
    };
    rabbitmq = {
      createLocally = isOne;
      host = "one";
      passwordFile = "/run/secrets/restaurant-rabbitmq";
    };
    kitchenWorkers."chef_${config.networking.hostName}" = { };
  };

  services.postgresql = {
    enableTCPIP = true;
    authentication = ''
      host restaurant  restaurant 192.168.1.0/24 scram-sha-256
      host replication replica    192.168.1.0/24 scram-sha-256
    '';
    ensureUsers = [
      {
        name = "replica";
        ensureClauses.replication = true;
      }
    ];
    settings = {
      wal_keep_size = "1GB";
      wal_log_hints = "on"; # for pg_rewind
    };
  };

  services.rabbitmq.listenAddress = if isOne then "0.0.0.0" else "127.0.0.1";
  networking.firewall.allowedTCPPorts = [
    5432
    5672
  ];
}
