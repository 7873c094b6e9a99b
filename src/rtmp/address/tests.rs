use proptest::prelude::*;

use super::*;

/// Tenant, stream, secret and user.
type Expected<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>);

fn check([app, stream, tc_url]: [&str; 3], expected: Expected<'_>) {
    let address = PublishAddress::parse(app, stream, tc_url).expect("an address");
    let secret = address.secret.as_ref().map(|secret| std::str::from_utf8(secret.expose()).expect("text"));
    let found = (address.tenant.as_str(), address.stream.as_str(), secret, address.user.as_deref());
    assert_eq!(found, expected, "{app:?} {stream:?} {tc_url:?}");
}

fn check_error(app: &str, stream: &str, expected: &AddressError) {
    assert_eq!(
        PublishAddress::parse(app, stream, "rtmp://h/x").as_ref(),
        Err(expected),
        "{app:?} {stream:?}"
    );
}

#[test]
fn the_forms_of_the_contract() {
    let tc_url = "rtmp://h:1935/demo";
    check(["demo", "cam", tc_url], ("demo", "cam", None, None));
    check(["demo", "cam?key=s3", tc_url], ("demo", "cam", Some("s3"), None));
    check(["demo", "cam?token=s3", tc_url], ("demo", "cam", Some("s3"), None));
    check(["demo", "cam?user=me&pass=s3", tc_url], ("demo", "cam", Some("s3"), Some("me")));
    check(["demo", "cam", "rtmp://me:s3@h/demo"], ("demo", "cam", Some("s3"), Some("me")));
    check(["demo?key=s3", "cam", "rtmp://h/demo?key=s3"], ("demo", "cam", Some("s3"), None));
    check(["demo", "cam", "rtmps://h/demo?key=s3"], ("demo", "cam", Some("s3"), None));
    check(["demo/", "/cam", tc_url], ("demo", "cam", None, None));
}

#[test]
fn without_an_app_the_tenant_is_live_or_in_the_stream() {
    check(["", "cam?key=s3", "rtmp://h"], ("live", "cam", Some("s3"), None));
    check(["/", "cam", "rtmp://h/"], ("live", "cam", None, None));
    check(["", "demo/cam", "rtmp://h/"], ("demo", "cam", None, None));
    check(["?key=s3", "cam", "rtmp://h/?key=s3"], ("live", "cam", Some("s3"), None));
}

#[test]
fn a_whole_url_in_the_stream_field_wins() {
    let pasted = "rtmp://me:s3@h/demo/cam";
    check(["other", pasted, "rtmp://h/other"], ("demo", "cam", Some("s3"), Some("me")));
    check(["other", "RTMPS://h:1936/demo/cam?key=s3", ""], ("demo", "cam", Some("s3"), None));
    check(["other", "rtmp://h/cam", ""], ("live", "cam", None, None));
}

#[test]
fn a_url_that_ffmpeg_cut_within_the_key_is_put_together() {
    check(["demo/cam?key=a", "b", "rtmp://h/demo/cam?key=a"], ("demo", "cam", Some("a/b"), None));
    check(["demo/cam?key=a", "b/c?d", ""], ("demo", "cam", Some("a/b/c?d"), None));
    check(["demo/cam?key=s3", "", ""], ("demo", "cam", Some("s3"), None));
    check(["demo/cam", "?key=s3", ""], ("demo", "cam", Some("s3"), None));
}

#[test]
fn a_key_may_hold_slashes_and_a_url() {
    let tc_url = "rtmp://h/demo";
    check(["demo", "cam?key=a/b", tc_url], ("demo", "cam", Some("a/b"), None));
    check(["demo", "cam?key=/a//b/", tc_url], ("demo", "cam", Some("/a//b/"), None));
    check(["demo", "/cam/?key=a/b", tc_url], ("demo", "cam", Some("a/b"), None));
    check(["", "demo/cam?key=a/b", "rtmp://h"], ("demo", "cam", Some("a/b"), None));
    check(["demo", "cam?key=rtmp://x/y", tc_url], ("demo", "cam", Some("rtmp://x/y"), None));
    check(["", "rtmp://h/demo/cam?key=a/b", ""], ("demo", "cam", Some("a/b"), None));
    check(["demo", "cam?key=a%2Fb", tc_url], ("demo", "cam", Some("a/b"), None));
}

/// OBS joins the fields for server and key with a slash, and some users put the query into the first.
#[test]
fn the_query_may_come_before_the_name() {
    check(["demo?key=s3", "cam", "rtmp://h/demo?key=s3"], ("demo", "cam", Some("s3"), None));
    check(["demo", "cam", "rtmp://h/demo?user=me&pass=s3"], ("demo", "cam", Some("s3"), Some("me")));
    check(["demo/?key=s3", "/cam", "rtmp://h/demo/?key=s3"], ("demo", "cam", Some("s3"), None));
    check(["demo?key=a/b", "cam", "rtmp://h/demo?key=a/b"], ("demo", "cam", Some("a/b"), None));
}

#[test]
fn a_whole_url_may_be_pasted_beside_its_own_app() {
    check(["demo", "rtmp://h/demo/cam", "rtmp://h/demo"], ("demo", "cam", None, None));
    check(
        ["demo?key=old", "rtmp://h/demo/cam?key=s3", "rtmp://h/demo?key=old"],
        ("demo", "cam", Some("s3"), None),
    );
    check(["", "rtmp://[::1]:1935/demo/cam?key=s%203", "rtmp://h"], ("demo", "cam", Some("s 3"), None));
}

#[test]
fn values_are_decoded_and_empty_ones_count_as_none() {
    check(["demo", "cam?key=a%26b%3D%2f", ""], ("demo", "cam", Some("a&b=/"), None));
    check(["demo", "cam?key=a+b==", ""], ("demo", "cam", Some("a+b=="), None));
    check(["demo", "cam?key=100%", ""], ("demo", "cam", Some("100%"), None));
    check(["demo", "cam?key=%zz%4", ""], ("demo", "cam", Some("%zz%4"), None));
    check(["demo", "cam?key=&user=&token=s3", ""], ("demo", "cam", Some("s3"), None));
    check(["demo", "cam?key", "rtmp://@h/demo"], ("demo", "cam", None, None));
    check(["demo", "cam", "rtmp://m%40e:s%3A3@h/demo"], ("demo", "cam", Some("s:3"), Some("m@e")));
}

#[test]
fn the_nearest_secret_counts() {
    let (app, tc_url) = ("demo?key=app", "rtmp://me:host@h/demo?key=app");
    check([app, "cam?pass=mine", tc_url], ("demo", "cam", Some("mine"), Some("me")));
    check([app, "cam", tc_url], ("demo", "cam", Some("app"), Some("me")));
    check(["demo", "cam?token=t&pass=p&key=k", tc_url], ("demo", "cam", Some("k"), Some("me")));
}

#[test]
fn what_is_no_name_is_refused() {
    check_error("demo", "", &AddressError::Stream(NameError::Empty));
    check_error("", "", &AddressError::Stream(NameError::Empty));
    check_error("demo", "?key=s3", &AddressError::Stream(NameError::Empty));
    check_error("demo", "a/b", &AddressError::Stream(NameError::Byte(1)));
    check_error("demo/a", "b", &AddressError::Stream(NameError::Byte(1)));
    check_error("demo", "../etc", &AddressError::Stream(NameError::Byte(0)));
    check_error("de mo", "cam", &AddressError::Tenant(NameError::Byte(2)));
    check_error("demo", "http://h/demo/cam", &AddressError::Stream(NameError::Byte(4)));
    check_error("demo", &"a".repeat(200), &AddressError::Stream(NameError::TooLong(200)));
}

proptest! {
    #[test]
    fn any_text_is_harmless(texts in prop::array::uniform3("(rtmps?://)?[a-z?&=/@:%0-9ä. ]{0,40}")) {
        let [app, stream, tc_url] = &texts;
        let _ = PublishAddress::parse(app, stream, tc_url);
    }

    #[test]
    fn any_secret_survives_percent_encoding(secret in prop::collection::vec(any::<u8>(), 1..40)) {
        let encoded: String = secret.iter().map(|byte| format!("%{byte:02X}")).collect();
        let address = PublishAddress::parse("demo", &format!("cam?key={encoded}"), "");
        let found = address.expect("an address").secret.expect("a secret");
        prop_assert!(found.matches(&secret));
    }
}
