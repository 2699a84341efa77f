//! Keys that tests sign with. They protect nothing.

/// Ed25519, by `openssl genpkey`.
pub const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAGk6rrYcidty5O9OXephlpxQgJ8NPBOWDyuVyGOOHNR
-----END PRIVATE KEY-----
";
/// Its public key.
pub const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAHFM2SJaONqQVvLFfz66dicJFmHSSP40p5EDEAX5opKg=
-----END PUBLIC KEY-----
";
/// ECDSA P-256, by `openssl genpkey`.
pub const P256: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgckVPvWJaD2lYxx/C
f4Sb52fjSkRz+EF8Q3y2rb/EcI6hRANCAASlsPJjMJpCQBEDlGCjbdcFR8bCzAqs
uQvUy8rbMlU7+R7Jt769p6zbOG3K6QQ9SwFtlMAi5P5B0UjLgvVBmJ3E
-----END PRIVATE KEY-----
";
/// Its public key.
pub const P256_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpbDyYzCaQkARA5Rgo23XBUfGwswK
rLkL1MvK2zJVO/keybe+vaes2zhtyukEPUsBbZTAIuT+QdFIy4L1QZidxA==
-----END PUBLIC KEY-----
";
/// ECDSA P-256, by `cosign generate-key-pair` of cosign 2.5; the password is `hunter2`.
pub const COSIGN: &str = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJLSmpFSmcwZjNOVCtEaVJVd2F3b1NlaEFpZHFFNDN5
SzJyRmEwQ1RZY1VVPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiIyd25vRkhIeWd0SWYrNFoyYmdLbkx5Rlk3Q0ZBdXQ3UCJ9LCJj
aXBoZXJ0ZXh0IjoidlVESVBDZHBXeW5MQUU5R0d5MjJpQis2cmFhSms0N0JrbUtR
cGowSVRJZUJWUDhRd0krUlZHU2hub3dpdDdEa2w3ak1MZnduQlk3cy94QUdvbGMw
S3RWbXo1bUVOZDQxNnFwb3RrVEdhRzRmOUphZXl0SHRtUFc0cjBuL2JuSzdGalow
dGk5cHhHakRDeFdtMmJma1VENjlVOWdOcVhQNk5KdllFVDJDcjV1Vjlhb0UrQVdW
Y2dWNHhNT1R2WHVNMGpweWluaHdsRUd0Tnc9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
";
/// Its public key.
pub const COSIGN_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhWtnRfKRK/G+iHClWcbPH+X/QKXr
XJF4stJYS3DXcuianOwMmFYELMv7mqvTlpCi6I8H4ZXQ59gcaqjForeA3Q==
-----END PUBLIC KEY-----
";
/// ECDSA P-256 as SEC 1 has it, by `openssl ecparam -genkey`.
pub const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIPuBBcSM8Iz2FJYzlzqJZdzZQkEfFwsvlBKwkF3iwi62oAoGCCqGSM49
AwEHoUQDQgAEKoyqolr3qiyCdzxCk42RrjF+bpAltcCRn73RlRQqsaH71HnlIePQ
rWYOh4TkqHnUImFzby+EHipmxmkZMlYYsg==
-----END EC PRIVATE KEY-----
";
/// RSA.
pub const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmYwm1QvFiZrt9utTF+4M
hc+ltdlOokCNe7Kgf50YZw3tPepU43spEdaM2kMgnvA1bBmjlBHzVXVxL5S1ifwj
Am4e+BW7eCXM00Z+EWlGABVxbhfssF/nRWgBaCuozmefyGcNYDz0QeayU/RyHbfm
edFnj5JdvNAClw/oaPcqqs6S4tEwdylzmthXkcOvBhMlLfoKuyXBWpbMvCahssUg
zpj8/pSH+Gmayy0QszwSuS9xmCzTZ0tKmAolxPPb4nggqVMfKD6A+9CReKdcyKg7
HASRwBFFL0cc8FN4YGZ2Ohz9GqZi4xxiuiuOtgtJFaTmjvN8ub1TFbRpds+6mju5
LwIDAQAB
-----END PUBLIC KEY-----
";
