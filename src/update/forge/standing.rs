//! The one comment of ours on a request that is rewritten, and not followed by another one.
//!
//! It is found by a key that readers do not see, never by its words or its author.

use super::{Comment, Forge, ForgeError};

/// How the first line of such a comment begins.
const BEGIN: &str = "[//]: # (tagwright:comment:";

/// What was done about the comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// There was none.
    Anew,
    /// It said something else.
    Reworded,
    /// It says so already.
    Already,
}

/// Lets the comment with this key say `text`.
///
/// # Errors
///
/// When the forge does not let us read or write comments.
pub async fn say(
    forge: &impl Forge,
    number: u64,
    key: &str,
    text: &str,
) -> Result<Said, ForgeError> {
    let text = keyed(key, text);
    if let Some(comment) = find(forge, number, key).await? {
        if comment.text.trim_end() == text.trim_end() {
            return Ok(Said::Already);
        }
        match forge.reword(number, &comment, &text).await {
            Ok(()) => return Ok(Said::Reworded),
            // Somebody else wrote it, or has removed it meanwhile: it is none of ours.
            Err(
                ForgeError::Denied { .. }
                | ForgeError::NotFound { .. }
                | ForgeError::Refused { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    match forge.comment(number, &text).await {
        Err(error) if error.may_have_been_done() => match find(forge, number, key).await? {
            Some(comment) if comment.text.trim_end() == text.trim_end() => Ok(Said::Anew),
            _ => Err(error),
        },
        result => result.map(|()| Said::Anew),
    }
}

/// The newest comment that begins with the key.
async fn find(forge: &impl Forge, number: u64, key: &str) -> Result<Option<Comment>, ForgeError> {
    let comments = forge.comments(number).await?;
    let begin = keyed(key, "");
    let mut comments = comments.into_iter().rev();
    Ok(comments.find(|it| it.text.starts_with(begin.trim_end())))
}

/// A text with a key that no text can hold, for what could end it is left out.
fn keyed(key: &str, text: &str) -> String {
    let fits = |it: char| it.is_ascii_alphanumeric() || "-_./".contains(it);
    let key = key.chars().map(|it| if fits(it) { it } else { '-' });
    format!("{BEGIN}{})\n\n{text}", key.collect::<String>())
}
