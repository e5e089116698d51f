//! Checks the address of a client behind proxies: `X-Forwarded-For` and the trusted networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use notification_hub::http::client_address::client_address;
use notification_hub::net::ip_network::IpNetwork;

use crate::choices::Choices;

/// A proxy in each of the trusted networks.
const PROXIES: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    // The form in which a dual-stack socket reports an IPv4 address.
    IpAddr::V6(Ipv4Addr::new(10, 9, 9, 9).to_ipv6_mapped()),
];

/// An address in none of the trusted networks.
const UNTRUSTED: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// Checks that only the entries of trusted proxies count, so that entries of a client change nothing. A generated list in any
/// spelling must give the same address as a naive reading.
pub(crate) fn check(input: &[u8]) {
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse::<IpNetwork>().expect("a network"));
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let header = String::from_utf8_lossy(input);
    assert_eq!(client_address(UNTRUSTED, &header, &trusted), UNTRUSTED);
    assert_eq!(client_address(UNTRUSTED, &header, &[]), UNTRUSTED);
    for proxy in PROXIES {
        let client = client_address(proxy, &header, &trusted);
        assert_eq!(client, client.to_canonical());
        if is_trusted(client) {
            continue;
        }
        for others in ["198.51.100.1,", "10.0.0.1, ", "x,", ","] {
            assert_eq!(client_address(proxy, &format!("{others}{header}"), &trusted), client, "{others}");
        }
        for other in PROXIES {
            assert_eq!(client_address(proxy, &format!("{header}, {other}"), &trusted), client, "{other}");
        }
    }
    check_generated_list(input, &trusted);
    check_network(&header);
}

/// Checks a list of addresses that is generated from the input.
fn check_generated_list(input: &[u8], trusted: &[IpNetwork]) {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut choices = Choices(input);
    let mut expected = PROXIES[0];
    let mut hops = Vec::new();
    for _ in 0..choices.below(8) {
        let (address, spelled) = generate_hop(&mut choices);
        if is_trusted(expected) {
            expected = address.to_canonical();
        }
        hops.insert(0, spelled);
    }
    let header = hops.join(",");
    assert_eq!(client_address(PROXIES[0], &header, trusted), expected, "{header}");
}

/// Generates an address and one of the spellings that proxies use.
fn generate_hop(choices: &mut Choices<'_>) -> (IpAddr, String) {
    let bits = u128::from(choices.number()) << 64 | u128::from(choices.number());
    let address = match choices.below(4) {
        0 => PROXIES[usize::from(choices.below(3))],
        1 => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        2 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        _ => IpAddr::V6(Ipv4Addr::from_bits(bits as u32).to_ipv6_mapped()),
    };
    let spelled = match (choices.below(4), address) {
        (0, _) => format!("  {address}\t"),
        (1, IpAddr::V4(_)) => format!("{address}:{}", bits as u16),
        (1, IpAddr::V6(_)) => format!(" [{address}]:{}", bits as u16),
        (2, _) => address.to_string().to_uppercase(),
        _ => address.to_string(),
    };
    (address, spelled)
}

/// Checks that a network equals the network of its text, and contains its own address.
fn check_network(text: &str) {
    let Ok(network) = text.parse::<IpNetwork>() else { return };
    let written = network.to_string();
    assert_eq!(written.parse(), Ok(network));
    let (address, prefix) = written.split_once('/').expect("a prefix");
    let address: IpAddr = address.parse().expect("an address");
    // An IPv4 address in IPv6's form is compared as IPv4.
    assert!(network.contains(address) || address != address.to_canonical(), "{written}");
    assert!(prefix == "0" || !network.contains(flip_first_bit(address)), "{written}");
}

/// Returns the address that differs only in its first bit.
fn flip_first_bit(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() ^ 1 << 31)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() ^ 1 << 127)),
    }
}
