pub(super) mod script;
