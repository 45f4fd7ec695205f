//! Names of services by the URI in their certificates.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;

const PLACE: &str = "{service}";

/// URIs in a client's certificate whose signature has been verified; the acceptor leaves them in every request.
#[derive(Debug, Clone)]
pub(crate) struct UriNames(Arc<[String]>);

impl UriNames {
    /// `None` when the certificate has none.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let names: Arc<[String]> = certificate.valid_uri_names().map(str::to_owned).collect();
        (!names.is_empty()).then_some(Self(names))
    }
}

/// How services are named.
#[derive(Debug, Default)]
pub(crate) struct ServiceNames {
    /// What stands before and after the name. Without it nobody has a name.
    around: Option<(String, String)>,
    /// Header of a proxy that names the certificate.
    header: Option<HeaderName>,
}

impl ServiceNames {
    /// # Errors
    /// When the pattern has no place for the name, or the header cannot be one.
    pub(crate) fn new(pattern: &str, header: Option<&str>) -> Result<Self, String> {
        let around = pattern.split_once(PLACE).filter(|(before, after)| {
            before.starts_with("spiffe://")
                && before.ends_with(['/', '-'])
                && !after.contains(PLACE)
        });
        let (before, after) = around.ok_or_else(|| {
            format!("tls.service_uri: {pattern:?} is not spiffe://<trust domain>/..{PLACE}")
        })?;
        let header = header.map(|name| {
            let parsed = HeaderName::try_from(name);
            parsed.map_err(|_| format!("tls.client_certificate_header: {name:?} is no header"))
        });
        Ok(Self {
            around: Some((before.to_owned(), after.to_owned())),
            header: header.transpose()?,
        })
    }

    /// The service that calls, if it is one.
    pub(crate) fn of_call(
        &self,
        headers: &HeaderMap,
        certificate: Option<&UriNames>,
    ) -> Option<String> {
        if let Some(header) = &self.header {
            let text = headers.get(header)?.to_str().ok()?;
            return self.only_name(&forwarded_uris(text));
        }
        self.only_name(&certificate?.0)
    }

    /// A certificate has one identity, or none that counts.
    fn only_name(&self, uris: &[String]) -> Option<String> {
        let mut names = uris.iter().filter_map(|uri| self.name(uri));
        let name = names.next()?;
        names.next().is_none().then(|| name.to_owned())
    }

    fn name<'a>(&self, uri: &'a str) -> Option<&'a str> {
        let (before, after) = self.around.as_ref()?;
        let name = uri
            .strip_prefix(before.as_str())?
            .strip_suffix(after.as_str())?;
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (!name.is_empty() && name.bytes().all(is_plain)).then_some(name)
    }
}

/// The URIs that a proxy names: `By=..;Hash=..;URI=spiffe://..`, the nearest proxy's element last. Values may be
/// quoted, with separators in them.
fn forwarded_uris(text: &str) -> Vec<String> {
    let (mut quoted, mut escaped) = (false, false);
    let (mut pairs, mut pair) = (Vec::new(), String::new());
    for letter in text.chars() {
        match letter {
            _ if escaped => {
                escaped = false;
                pair.push(letter);
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => pairs.push(std::mem::take(&mut pair)),
            ',' if !quoted => {
                pairs.clear();
                pair.clear();
            }
            _ => pair.push(letter),
        }
    }
    pairs.push(pair);
    let uri = |pair: &String| {
        let (key, value) = pair.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case("uri")
            .then(|| value.to_owned())
    };
    pairs.iter().filter_map(uri).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pattern: &str, uris: &[&str]) -> Option<String> {
        let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        let names = ServiceNames::new(pattern, None).unwrap();
        names.of_call(&HeaderMap::new(), Some(&UriNames(uris.into())))
    }

    #[test]
    fn a_service_is_named_by_the_whole_uri() {
        let plain = |uri: &str| name("spiffe://oms/{service}", &[uri]);
        assert_eq!(plain("spiffe://oms/order").as_deref(), Some("order"));
        for wrong in [
            "spiffe://evil/order",
            "spiffe://oms/ns/x/sa/order",
            "spiffe://oms/",
            "spiffe://oms/order ",
            "spiffe://oms/Order",
            "https://oms/order",
        ] {
            assert_eq!(plain(wrong), None, "{wrong}");
        }
        let account = "spiffe://cluster.local/ns/shop/sa/oms-{service}";
        let order = "spiffe://cluster.local/ns/shop/sa/oms-order";
        assert_eq!(name(account, &[order, "urn:x"]).as_deref(), Some("order"));
        assert_eq!(
            name(account, &["spiffe://cluster.local/ns/evil/sa/oms-order"]),
            None
        );
        // Who it is must be certain.
        assert_eq!(
            name(
                account,
                &[order, "spiffe://cluster.local/ns/shop/sa/oms-returns"]
            ),
            None
        );
    }

    #[test]
    fn a_header_counts_only_where_it_is_configured() {
        let text = "By=spiffe://c/ns/a/sa/b;Hash=1;Subject=\"CN=a,URI=spiffe://oms/returns;\";URI=spiffe://oms/order";
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-client-cert", text.parse().unwrap());
        let pattern = "spiffe://oms/{service}";
        let believing = ServiceNames::new(pattern, Some("x-forwarded-client-cert")).unwrap();
        assert_eq!(believing.of_call(&headers, None).as_deref(), Some("order"));
        let strict = ServiceNames::new(pattern, None).unwrap();
        assert_eq!(strict.of_call(&headers, None), None);
        // What came from further away than the nearest proxy does not count.
        let forged = "URI=spiffe://oms/order,By=x;URI=spiffe://other/x";
        headers.insert("x-forwarded-client-cert", forged.parse().unwrap());
        assert_eq!(believing.of_call(&headers, None), None);
    }
}
