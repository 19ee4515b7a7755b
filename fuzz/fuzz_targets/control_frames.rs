//! Requests come from clients: any text is read without a panic, and is either a request or an error
//! with a code; what says its number is answered by it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lithe::endpoint::ControlFrame;

const CODES: [&str; 2] = ["bad_request", "unknown_type"];

fuzz_target!(|text: &str| {
    if let Err(error) = text.parse::<ControlFrame>() {
        assert!(CODES.contains(&error.code()), "{}", error.code());
        assert!(!error.to_string().is_empty());
    }
    // Twice a number is none.
    match format!("{{\"id\":7,{text}").parse::<ControlFrame>() {
        Ok(frame) => assert_eq!(frame.id(), Some(7)),
        Err(error) => assert!(matches!(error.id(), None | Some(7))),
    }
});
