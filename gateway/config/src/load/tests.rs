//! What serves after good and bad changes.
