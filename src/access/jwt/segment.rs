use std::borrow::Cow;

/// A text as one segment of a channel's name, by which `{sub}` in a grant is replaced.
///
/// A letter or digit of ASCII, and `-`, `_`, `:`, `@`, `+` and `=`, stay; each byte of everything
/// else becomes `~` and two hexadecimal digits, so that no two texts are the same segment, and no
/// dot or star in a subject reaches beyond it.
///
/// ```
/// use lithe::access::jwt::segment;
///
/// assert_eq!(segment("alice@example.com"), "alice@example~2Ecom");
/// assert_eq!(segment("*"), "~2A");
/// ```
pub fn segment(text: &str) -> Cow<'_, str> {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:@+=".contains(&byte);
    if text.bytes().all(stays) {
        return text.into();
    }
    let mut segment = String::with_capacity(text.len() + 2);
    for byte in text.bytes() {
        if stays(byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("~{byte:02X}"));
        }
    }
    segment.into()
}
