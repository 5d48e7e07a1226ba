#pragma once

// Certificates for tests, made when they are needed.

#include <memory>
#include <string>
#include <vector>

namespace heph_tests {

/// What a test's certificate says.
struct certificate_order {
    std::vector<std::string> names;      // DNS names.
    std::vector<std::string> addresses;  // IP addresses.
    std::vector<std::string> uris;
    std::string common_name = "test";
    long valid_from_seconds = -3600;  // Relative to now.
    long valid_to_seconds = 3600;
    bool rsa = false;
    int rsa_bits = 2048;
};

/// A certificate and its key, in PEM form.
struct issued {
    std::string certificate;
    std::string key;
};

/// Vouches for certificates.
class authority {
public:
    explicit authority(const std::string& name = "test authority");
    authority(const authority&) = delete;
    authority& operator=(const authority&) = delete;
    ~authority();

    /// Gives the authority's own certificate, to be trusted.
    [[nodiscard]] const std::string& certificate() const { return certificate_; }
    [[nodiscard]] issued issue(const certificate_order& order) const;
    /// Issues a certificate for one name.
    [[nodiscard]] issued issue(const std::string& name) const;
    /// Gives a list of those that are taken back, in PEM form, out of date after so many seconds.
    [[nodiscard]] std::string revoke(const std::vector<issued>& revoked,
                                     long valid_to_seconds = 3600) const;

private:
    struct keys;
    std::unique_ptr<keys> keys_;
    std::string certificate_;
};

/// Writes a text to a file of its own below the folder for temporary files, gone with the object.
class temporary_file {
public:
    explicit temporary_file(const std::string& content);
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    ~temporary_file();
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

}  // namespace heph_tests
