//! The published test suite of Signature Version 4: canonical request hash and signature of each case.
//!
//! Left out are its cases of repeated and folded headers, which are refused here.

use http::Request;
use meridian_model::{Region, Timestamp};

use crate::credentials::{ClientCredentials, SecretAccessKey};
use crate::sigv4::canonical::{hex_sha256, request_hash};
use crate::sigv4::date::SignatureDate;
use crate::sigv4::sign;
use crate::sigv4::signing_key::SigningKey;
use crate::sigv4::verify::signature;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";
const SCOPE: &str = "20150830/us-east-1/service/aws4_request";
/// Vectors in the table below; an empty run must not pass.
const VECTORS_COUNT: usize = 22;

struct Vector {
    method: &'static str,
    uri: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    request_hash: &'static str,
    signature: &'static str,
}

const fn get(uri: &'static str, request_hash: &'static str, signature: &'static str) -> Vector {
    Vector { method: "GET", uri, headers: &[], body: "", request_hash, signature }
}

const fn post(
    uri: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    request_hash: &'static str,
    signature: &'static str,
) -> Vector {
    Vector { method: "POST", uri, headers, body, request_hash, signature }
}

const UNRESERVED: &str = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const UNRESERVED_QUERY: &str = "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=\
                                -._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const VANILLA: (&str, &str) = (
    "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
);

#[rustfmt::skip]
const VECTORS: [Vector; VECTORS_COUNT] = [
    get("/", VANILLA.0, VANILLA.1),
    get("/example/..", VANILLA.0, VANILLA.1),
    get("/example1/example2/../..", VANILLA.0, VANILLA.1),
    get("//", VANILLA.0, VANILLA.1),
    get("/./", VANILLA.0, VANILLA.1),
    get("/./example", "214d50c111a8edc4819da6a636336472c916b5240f51e9a51b5c3305180cf702",
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
    get("//example//", "cb96b4ac96d501f7c5c15bc6d67b3035061cfced4af6585ad927f7e6c985c015",
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    get(UNRESERVED, "6a968768eefaa713e2a6b16b589a8ea192661f098f37349f4e2c0082757446f9",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    get("/ሴ", "2a0a97d02205e45ce2e994789806b19270cfbbb0921b278ccf58f5249ac42102",
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    get("/?Param1=value1", "1e24db194ed7d0eec2de28d7369675a243488e08526e8c1c73571282f7c517ab",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    get("/?Param1=value2&Param1=Value1", "704b4cef673542d84cdff252633f065e8daeba5f168b77116f8b1bcaf3d38f89",
        "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"),
    get("/?Param2=value2&Param1=value1", "816cd5b414d056048ba4f7c5386d6e0533120fb1fcfa93762cf0fc39e2cf19e0",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    get("/?Param1=value2&Param1=value1", "c968629d70850097a2d8781c9bf7edcb988b04cac14cca9be4acc3595f884606",
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"),
    get(UNRESERVED_QUERY, "c30d4703d9f799439be92736156d47ccfb2d879ddf56f5befa6d1d6aab979177",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
    get("/?ሴ=bar", "eb30c5bed55734080471a834cc727ae56beb50e5f39d1bff6d0d38cb192a7073",
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    Vector {
        method: "GET", uri: "/", headers: &[("my-header1", " value1"), ("my-header2", "\"a   b   c\"")], body: "",
        request_hash: "a726db9b0df21c14f559d0a978e563112acb1b9e05476f0a6a1c7d68f28605c7",
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    },
    post("/", &[], "", "553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    post("/", &[("my-header1", "value1")], "", "9368318c2967cf6de74404b30c65a91e8f6253e0a8659d6d5319f1a812f87d65",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
    post("/", &[("my-header1", "VALUE1")], "", "d51ced243e649e3de6ef63afbbdcbca03131a21a7103a1583706a64618606a93",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
    post("/?Param1=value1", &[], "", "9d659678c1756bb3113e2ce898845a0a79dbbc57b740555917687f1b3340fbbd",
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    post("/", &[("content-type", "application/x-www-form-urlencoded")], "Param1=value1",
        "42a5e5bb34198acb3e84da4f085bb7927f2bc277ca766e6d19c73c2154021281",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    post("/", &[("content-type", "application/x-www-form-urlencoded; charset=utf8")],
        "Param1=value1", "2e1cf7ed91881a30569e46552437e4156c823447bf1781b921b5d486c568dd1c",
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"),
];

#[test]
fn published_vectors() {
    let key = SigningKey::derive(&SecretAccessKey::from(SECRET), "20150830", "us-east-1", "service");
    let date = SignatureDate::parse_basic(DATE).expect("valid");
    for vector in &VECTORS {
        let mut request = Request::builder().method(vector.method).uri(vector.uri);
        request = request.header("Host", "example.amazonaws.com").header("X-Amz-Date", DATE);
        for (name, value) in vector.headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("valid").into_parts();
        let mut names: Vec<&str> = parts.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let hash = request_hash(&parts, &names.join(";"), &hex_sha256(vector.body.as_bytes())).expect("canonical");
        assert_eq!(std::str::from_utf8(&hash), Ok(vector.request_hash), "{}", vector.uri);
        assert_eq!(hex::encode(*signature(&key, date, SCOPE, &hash)), vector.signature, "{}", vector.uri);
    }
}

#[test]
fn the_signer_writes_the_published_header() {
    let (mut parts, ()) = Request::get("https://example.amazonaws.com/").body(()).expect("valid").into_parts();
    let credentials = ClientCredentials::new("AKIDEXAMPLE", SECRET);
    let region: Region = "us-east-1".parse().expect("valid");
    sign(&mut parts, b"", &credentials, &region, "service", Timestamp::from_millis(1_440_938_160_000))
        .expect("signable");
    let header = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{SCOPE}, SignedHeaders=host;x-amz-date, Signature={}",
        VANILLA.1
    );
    assert_eq!(parts.headers["authorization"], header);
    assert_eq!(parts.headers["host"], "example.amazonaws.com");
}
