//! Who may look, and how a person comes in and out.

use super::*;

#[tokio::test]
async fn a_cook_logs_in_with_a_cookie_that_no_script_reads_and_out_again() {
    let station = Station::open().await;
    let page = station.login_page(Device::TABLET).await;
    page.tolerate("401");
    page.fill("#name", "anna").await;
    page.fill("#password", "a guess").await;
    page.press("Enter").await;
    page.sees("[role=alert]").await;
    assert!(page.cookies().await.is_empty());
    page.fill("#password", STAFF[0].2).await;
    page.press("Enter").await;
    page.sees("#live[data-live=yes]").await;
    let cookies = page.cookies().await;
    let [cookie] = &*cookies else { panic!("{cookies:?}") };
    let fields = ["name", "httpOnly", "sameSite", "path"].map(|field| &cookie[field]);
    assert_eq!(fields, [&json!("session"), &json!(true), &json!("Strict"), &json!("/")]);
    page.click("[data-action=settings]").await;
    page.click("[data-action=logout]").await;
    page.sees("#password").await;
    assert!(page.cookies().await.is_empty());
    page.goto(&station.network.url()).await;
    page.sees("#password").await;
}

#[tokio::test]
async fn an_account_without_the_right_stays_outside_and_is_told_why() {
    let station = Station::open().await;
    let page = station.login_page(Device::TABLET).await;
    page.tolerate("403");
    page.fill("#name", "carla").await;
    page.fill("#password", STAFF[1].2).await;
    page.click("button[type=submit]").await;
    page.until("her role is named", "document.querySelector('[role=alert]')?.innerText.includes('counter')")
        .await;
    assert!(page.cookies().await.is_empty());
}
