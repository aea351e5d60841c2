//! `restaurant-system place`: orders something, as a customer would.

use std::io::{self, Write};

use clap::Args;
use uuid::Uuid;

use super::track::{self, TrackArgs, TrackError};
use crate::client::api::PlaceAnswer;
use crate::client::orders::{FormItem, OrderForm};
use crate::client::{BaseUrl, ClientError, OrderClient};
use crate::domain::MenuId;

/// Where the order service listens unless told otherwise.
pub(super) const DEFAULT_ORDER_URL: &str = "http://127.0.0.1:3000";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system place --customer \"Ada Lovelace\" --type takeout \\
      --item \"Margherita Pizza:1:15.99\" --item Espresso@2.50
  restaurant-system place --customer \"Ada Lovelace\" --type dine_in --table 7 \\
      --item \"Caesar Salad:2:8.99\" --notes \"no croutons\" --track
  restaurant-system place --customer \"Ada Lovelace\" --type takeout --item margherita+large+olives:2")]
pub struct PlaceArgs {
    /// The customer's name
    #[arg(long, value_name = "NAME")]
    customer: String,

    /// The kind of order
    #[arg(long = "type", value_name = "TYPE", value_parser = ["dine_in", "takeout", "delivery"])]
    order_type: String,

    /// A dish, how many of it and the price of one; repeat it for each dish. NAME@PRICE orders one. By the menu: its id,
    /// the ids of its choices and how many (margherita+large+olives:2)
    #[arg(long = "item", value_name = "NAME:QUANTITY:PRICE", required = true, value_parser = parse_item)]
    items: Vec<FormItem>,

    /// The table to serve (dine_in)
    #[arg(long, value_name = "N")]
    table: Option<u32>,

    /// The address to deliver to (delivery)
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,

    /// What the kitchen should heed, such as "no onions"
    #[arg(long, value_name = "NOTES")]
    notes: Option<String>,

    /// Makes it safe to place the same order again after a broken connection; a fresh one if absent
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    idempotency_key: Option<String>,

    /// The order service
    #[arg(long, value_name = "URL", env = "RESTAURANT_ORDER_URL", default_value = DEFAULT_ORDER_URL)]
    url: BaseUrl,

    /// The tracking service, for --track
    #[arg(long, value_name = "URL", env = "RESTAURANT_TRACKING_URL", default_value = track::DEFAULT_TRACKING_URL)]
    tracking_url: BaseUrl,

    /// Go on with the live view of the order until it is ready
    #[arg(long)]
    track: bool,

    /// Print the service's answer as it stands, a refusal too; with --track then one JSON object per change
    #[arg(long)]
    json: bool,
}

/// Why an order was not placed, or could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("the order was not placed: {0}")]
    NotPlaced(ClientError),
    #[error(
        "{cause}; it may have been taken all the same. Place it again with --idempotency-key {key} to be sure of one"
    )]
    Unknown {
        /// With this key it is not ordered twice.
        key: String,
        cause: ClientError,
    },
    #[error(transparent)]
    Track(#[from] TrackError),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Places the order and prints what became of it.
pub async fn run(args: PlaceArgs) -> Result<(), PlaceError> {
    let order = OrderForm {
        customer_name: args.customer,
        order_type: args.order_type,
        items: args.items,
        table_number: args.table,
        delivery_address: args.address,
        notes: args.notes,
    };
    let key = args.idempotency_key.unwrap_or_else(|| Uuid::now_v7().to_string());
    let placed = place(args.url, &order, key).await;
    if let (true, Err(PlaceError::NotPlaced(ClientError::Problem(problem)))) = (args.json, &placed) {
        writeln!(io::stdout(), "{}", problem.body.trim_end())?;
    }
    let placed = placed?;
    let order_number = placed.order.order_number.clone();
    if args.json {
        writeln!(io::stdout(), "{}", placed.body.trim_end())?;
    } else {
        print_placed(&mut io::stdout(), &placed, &args.tracking_url, args.track)?;
    }
    if args.track {
        track::run(TrackArgs::of_placed(order_number, args.tracking_url, args.json)).await?;
    }
    Ok(())
}

async fn place(url: BaseUrl, order: &OrderForm, key: String) -> Result<PlaceAnswer, PlaceError> {
    let api = OrderClient::new(url).map_err(PlaceError::NotPlaced)?;
    api.place(order, Some(&key)).await.map_err(|error| match error {
        ClientError::BrokenOff { .. } | ClientError::UnexpectedAnswer { .. } => {
            PlaceError::Unknown { key, cause: error }
        }
        refused => PlaceError::NotPlaced(refused),
    })
}

fn print_placed(
    out: &mut impl Write,
    placed: &PlaceAnswer,
    tracking_url: &BaseUrl,
    tracks: bool,
) -> io::Result<()> {
    let order = &placed.order;
    writeln!(out, "Order {}: {}, {} to pay", order.order_number, order.status, order.total_amount)?;
    // A path alone leads nowhere from here.
    if let Some(url) = order.tracking_url.as_ref().filter(|url| !url.starts_with('/')) {
        writeln!(out, "See it at: {url}")?;
    }
    if !tracks {
        let url = tracking_url.to_string();
        let option =
            if url == track::DEFAULT_TRACKING_URL { String::new() } else { format!(" --tracking-url {url}") };
        writeln!(out, "Follow it with: restaurant-system track {}{option}", order.order_number)?;
    }
    Ok(())
}

/// Reads `NAME:QUANTITY:PRICE`, where the name may contain colons, `NAME@PRICE`, or `ID+CHOICE+CHOICE:QUANTITY`.
fn parse_item(text: &str) -> Result<FormItem, String> {
    let with_quantity = || {
        let (rest, price) = text.rsplit_once(':')?;
        let (name, quantity) = rest.rsplit_once(':')?;
        FormItem::new(name, quantity.trim().parse().ok()?, price.trim())
    };
    let single = || {
        let (name, price) = text.rsplit_once('@')?;
        FormItem::new(name, 1, price.trim())
    };
    let of_menu = || {
        let (dish, quantity) = text.rsplit_once(':').unwrap_or((text, "1"));
        let ids: Vec<MenuId> = dish.split('+').map(str::parse).collect::<Result<_, _>>().ok()?;
        let (id, choices) = ids.split_first()?;
        let choices = choices.iter().map(MenuId::to_string).collect();
        Some(FormItem::of_menu(id.as_str(), choices, quantity.parse().ok()?))
    };
    with_quantity().or_else(single).or_else(of_menu).ok_or_else(|| {
        "write NAME:QUANTITY:PRICE or NAME@PRICE, such as \"Margherita Pizza:1:15.99\" or Espresso@2.50; by the menu \
         ID+CHOICE:QUANTITY, such as margherita+large:2"
            .to_owned()
    })
}

/// Whether a text fits into a header: visible ASCII.
fn parse_key(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("1 to 255 visible ASCII characters, without blanks".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::stub::{Stub, closed_port, scripted};

    #[derive(Parser)]
    struct PlaceCommand {
        #[command(flatten)]
        args: PlaceArgs,
    }

    fn parse(args: &[&str]) -> Result<PlaceArgs, clap::Error> {
        let fixed = ["place", "--customer", "Ada Lovelace", "--type", "takeout"];
        PlaceCommand::try_parse_from(fixed.iter().chain(args)).map(|command| command.args)
    }

    fn item(text: &str) -> Result<(String, u32, String), String> {
        parse_item(text).map(|item| (item.name.unwrap(), item.quantity, item.price.unwrap().get().to_owned()))
    }

    #[test]
    fn an_item_of_the_menu_is_its_id_with_those_of_its_choices() {
        for (text, expected) in [
            ("espresso", ("espresso", &[][..], 1)),
            ("margherita+large+olives:2", ("margherita", &["large", "olives"], 2)),
        ] {
            let FormItem { menu_item_id, options, quantity, name, price, .. } = parse_item(text).unwrap();
            let options: Vec<_> = options.iter().map(String::as_str).collect();
            assert_eq!(
                (menu_item_id.as_deref(), &options[..], quantity),
                (Some(expected.0), expected.1, expected.2)
            );
            assert!(name.is_none() && price.is_none());
        }
        for text in ["+large", "margherita+", "margherita+Large", "margherita:x"] {
            assert!(parse_item(text).is_err(), "{text}");
        }
    }

    #[test]
    fn items_are_split_at_their_last_two_colons_or_at_the_at_sign() {
        for (text, name, quantity, price) in [
            ("Margherita Pizza:1:15.99", "Margherita Pizza", 1, "15.99"),
            ("Menu: soup: 2 courses:3:20.10", "Menu: soup: 2 courses", 3, "20.10"),
            ("Espresso@2.50", "Espresso", 1, "2.50"),
            ("Pasta: al forno@9.5", "Pasta: al forno", 1, "9.5"),
            ("Pasta: 2: al forno@9.5", "Pasta: 2: al forno", 1, "9.5"),
            ("Eggs @ home:2:4", "Eggs @ home", 2, "4"),
            ("Free:0:-1.999", "Free", 0, "-1.999"),
        ] {
            assert_eq!(item(text), Ok((name.to_owned(), quantity, price.to_owned())), "{text}");
        }
        for text in ["", "Pizza", "Pizza:1", "Pizza:one:1.00", "Pizza:1:1,50", "Pizza@", "Pizza:-1:2.00"] {
            assert!(item(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_usage_is_found_before_anything_is_sent() {
        for args in [
            &["--item", "Pizza"][..],
            &[],
            &["--item", "A@1", "--url", "https://example.org"],
            &["--item", "A@1", "--table", "x"],
            &["--item", "A@1", "--idempotency-key", "a b"],
        ] {
            assert_eq!(parse(args).unwrap_err().exit_code(), 2, "{args:?}");
        }
    }

    #[tokio::test]
    async fn a_good_order_is_placed_under_its_key() {
        let stub = Stub::start().await;
        let url = stub.url().to_string();
        let args =
            parse(&["--item", "Soup:1:6.50", "--url", &url, "--idempotency-key", "k-1", "--json"]).unwrap();
        run(args).await.unwrap();
        assert_eq!(stub.idempotency_keys(), ["k-1"]);
    }

    #[tokio::test]
    async fn a_refusal_lists_every_violation() {
        let stub = Stub::start().await;
        let url = stub.url().to_string();
        let args = parse(&["--item", "Soup:11:9.999", "--table", "3", "--url", &url]).unwrap();
        let error = run(args).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the order was not placed: Invalid order (422)\n  /quantity: broken\n  /price: broken\n  \
             /table_number: broken\n  request id: r-9"
        );
    }

    #[tokio::test]
    async fn an_absent_service_and_a_broken_call_are_told_apart() {
        let url = closed_port().await.to_string();
        let error = run(parse(&["--item", "Soup@6.50", "--url", &url]).unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("is the service running there"), "{error}");
        let (url, _) = scripted(vec!["HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{".to_owned()]).await;
        let args =
            parse(&["--item", "Soup@6.50", "--url", &url.to_string(), "--idempotency-key", "k-2"]).unwrap();
        let error = run(args).await.unwrap_err();
        assert!(error.to_string().contains("--idempotency-key k-2"), "{error}");
    }

    #[test]
    fn the_answer_is_told_with_the_command_to_follow_it() {
        let body = r#"{"order_number":"ORD_20261122_001","status":"received","total_amount":24.98}"#;
        let mut placed = PlaceAnswer { order: serde_json::from_str(body).unwrap(), body: body.to_owned() };
        let told = |placed: &PlaceAnswer, url: &str| {
            let mut out = Vec::new();
            print_placed(&mut out, placed, &url.parse().unwrap(), false).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            told(&placed, "http://127.0.0.1:3002"),
            "Order ORD_20261122_001: received, 24.98 to pay\n\
             Follow it with: restaurant-system track ORD_20261122_001\n"
        );
        assert!(
            told(&placed, "http://kitchen:80/")
                .ends_with("track ORD_20261122_001 --tracking-url http://kitchen\n")
        );
        placed.order.tracking_url = Some("/t/a".to_owned());
        assert!(!told(&placed, "http://127.0.0.1:3002").contains("See"));
        placed.order.tracking_url = Some("https://pizza.example.org/t/a".to_owned());
        assert!(
            told(&placed, "http://127.0.0.1:3002").contains("\nSee it at: https://pizza.example.org/t/a\n")
        );
    }
}
