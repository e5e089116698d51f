#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| notification_hub_properties::run("server_messages", input));
