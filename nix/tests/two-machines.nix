# The servers and the front on one machine, a cook on another.
{
  name = "restaurant-system-two-machines";

  # A secret of a test may be in the store.
  defaults.environment.etc = {
    "secrets/database".text = "database-secret";
    "secrets/rabbitmq".text = "rabbitmq-secret";
  };

  nodes = {
    front = {
      virtualisation.memorySize = 2048;
      services.restaurant-system = {
        enable = true;
        database = {
          createLocally = true;
          passwordFile = "/etc/secrets/database";
        };
        rabbitmq = {
          createLocally = true;
          passwordFile = "/etc/secrets/rabbitmq";
        };
        orderService = {
          address = "0.0.0.0";
          openFirewall = true;
        };
      };
      services.postgresql = {
        enableTCPIP = true;
        authentication = "host restaurant restaurant 192.168.1.0/24 scram-sha-256";
      };
      services.rabbitmq.listenAddress = "0.0.0.0";
      networking.firewall.allowedTCPPorts = [
        5432
        5672
      ];
    };

    kitchen.services.restaurant-system = {
      enable = true;
      orderService.enable = false;
      trackingService.enable = false;
      database = {
        host = "front";
        passwordFile = "/etc/secrets/database";
      };
      rabbitmq = {
        host = "front";
        passwordFile = "/etc/secrets/rabbitmq";
      };
      settings.kitchen.cook_seconds.takeout = 1;
      kitchenWorkers.chef_anna = { };
    };
  };

  testScript = ''
    import json

    ORDER = json.dumps(
        {
            "customer_name": "Ada Lovelace",
            "order_type": "takeout",
            "items": [{"name": "Soup", "quantity": 2, "price": 4.5}],
        }
    )

    start_all()
    front.wait_for_unit("restaurant-system.target")
    kitchen.wait_for_unit("kitchen-worker@chef_anna.service")
    kitchen.fail("systemctl is-active order-service.socket")

    with subtest("the kitchen cooks what the front takes"):
        answer = kitchen.succeed(
            f"curl --fail --silent --header 'Content-Type: application/json' --data '{ORDER}' http://front:3000/orders"
        )
        number = json.loads(answer)["order_number"]
        front.wait_until_succeeds(
            f"curl --fail --silent http://127.0.0.1:3002/orders/{number}/status | grep '\"current_status\":\"ready\"'",
            timeout=60,
        )

    with subtest("the port that was not opened is closed"):
        kitchen.fail("curl --silent --max-time 5 http://front:3002/healthz")

    with subtest("the kitchen says that it waits for a front that is away"):
        front.shutdown()
        kitchen.wait_until_succeeds(
            "systemctl show --value --property=StatusText kitchen-worker@chef_anna | grep 'waiting for'", timeout=120
        )
  '';
}
