# An order's whole way on one machine: over HTTP, through the kitchen, to the tracking service, the subscriber and the
# journal; the firewall, the proxy, what is for staff, and the password that was made.
{
  name = "restaurant-system-whole-path";

  nodes.machine = {
    virtualisation.memorySize = 2048;
    services.restaurant-system = {
      enable = true;
      database.createLocally = true;
      rabbitmq.createLocally = true;
      # A secret of a test may be in the store.
      staffTokenFile = "/etc/staff-token";
      settings.kitchen.cook_seconds = {
        dine_in = 1;
        takeout = 1;
        delivery = 1;
      };
      trackingService.virtualHost = "track.example.org";
      kitchenWorkers.chef_anna.orderTypes = [
        "takeout"
        "delivery"
      ];
      notificationSubscribers.counter = { };
    };
    environment.etc."staff-token".text = "let-me-in-0123456789abcdef0123456789";
    networking.hosts."127.0.0.1" = [ "track.example.org" ];
  };

  testScript = ''
    import json

    ORDERS = "http://127.0.0.1:3000/orders"
    TRACKING = "http://127.0.0.1:3002"


    def place(order_type: str, **more: object) -> str:
        order = {
            "customer_name": "Ada Lovelace",
            "order_type": order_type,
            "items": [{"name": "Soup", "quantity": 2, "price": 4.5}],
            **more,
        }
        answer = machine.succeed(
            f"curl --fail --silent --header 'Content-Type: application/json' --data '{json.dumps(order)}' {ORDERS}"
        )
        return str(json.loads(answer)["order_number"])


    def wait_for_status(number: str, status: str) -> None:
        machine.wait_until_succeeds(
            f"curl --fail --silent {TRACKING}/orders/{number}/status | grep '\"current_status\":\"{status}\"'",
            timeout=60,
        )


    machine.wait_for_unit("restaurant-system.target")
    for unit in ["order-service", "tracking-service", "kitchen-worker@chef_anna", "notification-subscriber@counter"]:
        machine.wait_for_unit(f"{unit}.service")

    with subtest("an order is cooked, told and found in the journal"):
        takeout = place("takeout")
        wait_for_status(takeout, "ready")
        machine.wait_until_succeeds(
            f"journalctl --unit=notification-subscriber@counter | grep {takeout} | grep \"to 'ready' by chef_anna\"",
            timeout=30,
        )
        machine.succeed(f"journalctl ORDER_NUMBER={takeout} ACTION=order_completed --output=cat | grep .")

    with subtest("a cook of the moment takes what nobody else cooks"):
        dine_in = place("dine_in", table_number=4)
        machine.succeed("systemctl start kitchen-worker@chef_luigi")
        wait_for_status(dine_in, "ready")
        assert "chef_luigi" in machine.succeed(f"curl --fail --silent {TRACKING}/orders/{dine_in}/history")
        machine.succeed("systemctl stop kitchen-worker@chef_luigi")

    with subtest("staff hand an order over, nobody else does"):
        complete = f"curl --silent --output /dev/null --write-out '%{{http_code}}' --request POST {ORDERS}/{takeout}/complete"
        t.assertEqual(machine.succeed(complete), "401")
        t.assertEqual(machine.succeed(f"{complete} --header 'Authorization: Bearer let-me-in-0123456789abcdef0123456789'"), "200")

    with subtest("the proxy passes on what customers ask, and no metrics"):
        machine.wait_for_unit("nginx.service")
        machine.succeed(f"curl --fail --silent http://track.example.org/orders/{takeout}/status")
        machine.fail("curl --fail --silent http://track.example.org/metrics")

    with subtest("nobody but root reads the passwords"):
        machine.fail("runuser --user=nobody -- cat /var/lib/restaurant-system/database-password")
        machine.fail("grep --recursive --files-with-matches --file=/var/lib/restaurant-system/database-password /etc/restaurant-system/")

    with subtest("it comes back after a boot, with what it knew"):
        machine.shutdown()
        machine.wait_for_unit("restaurant-system.target")
        wait_for_status(takeout, "completed")
        wait_for_status(place("delivery", delivery_address="12 Long Street, London"), "ready")
  '';
}
