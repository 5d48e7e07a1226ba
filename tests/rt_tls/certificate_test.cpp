#include <heph/rt/tls/certificate.hpp>

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <thread>

#include "rt_tls/certified.hpp"

using namespace heph_tests;
using tls::errc;

TEST_CASE("tls certificate: a chain and a key are read from files", "[rt][tls]") {
    const authority ca;
    const issued made = ca.issue("Example.ORG");
    const temporary_file chain(made.certificate + ca.certificate());
    const temporary_file key(made.key);
    const auto loaded = tls::certificate::load(chain.path(), key.path());
    REQUIRE(loaded);
    CHECK(loaded->names() == std::vector<std::string>{"example.org"});
    const temporary_file both(made.key + made.certificate);
    CHECK(tls::certificate::load(both.path(), both.path()));
}

TEST_CASE("tls certificate: a key's file is no child's while it is read, whatever its size",
          "[rt][tls]") {
    const authority ca;
    const issued made = ca.issue("a");
    const temporary_file chain(made.certificate);
    // A pipe: it is open for as long as the test looks at it.
    const std::string pipe = chain.path() + ".pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    bool loaded = false;
    std::thread reader([&] { loaded = tls::certificate::load(chain.path(), pipe).has_value(); });
    const int to_reader = ::open(pipe.c_str(), O_WRONLY | O_CLOEXEC);
    // Opening ends for both before the reader's descriptor is in the table.
    int readers = 0;
    while (readers == 0) {
        for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
            std::error_code gone;
            if (std::filesystem::read_symlink(each.path(), gone) != pipe) { continue; }
            const int descriptor = std::stoi(each.path().filename().string());
            if ((::fcntl(descriptor, F_GETFL) & O_ACCMODE) != O_RDONLY) { continue; }
            ++readers;
            CHECK(::fcntl(descriptor, F_GETFD) == FD_CLOEXEC);
        }
    }
    CHECK(readers == 1);
    const std::string text = std::string(40'000, '\n') + made.key;
    CHECK(::write(to_reader, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::close(to_reader);
    reader.join();
    ::unlink(pipe.c_str());
    CHECK(loaded);
}

TEST_CASE("tls certificate: an error names the file and what is wrong with it", "[rt][tls]") {
    const authority ca;
    const issued made = ca.issue("a");
    const temporary_file chain(made.certificate);
    const temporary_file key(made.key);
    const temporary_file other_key(ca.issue("b").key);
    const temporary_file nothing("nothing\n");
    const temporary_file damaged(made.certificate +
                                 "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

    const auto missing = tls::certificate::load("/nonexistent/chain.pem", key.path());
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code() == std::errc::no_such_file_or_directory);
    CHECK(missing.error().message().find("/nonexistent/chain.pem") != std::string::npos);

    const auto check = [](const std::string& chain_path, const std::string& key_path, errc expected,
                          const std::string& named) {
        const auto got = tls::certificate::load(chain_path, key_path);
        REQUIRE_FALSE(got);
        CHECK(got.error().code() == expected);
        CHECK(got.error().message().find(named) != std::string::npos);
    };
    check(nothing.path(), key.path(), errc::bad_certificate_file, nothing.path());
    check(damaged.path(), key.path(), errc::bad_certificate_file, damaged.path());
    check(chain.path(), nothing.path(), errc::bad_key_file, nothing.path());
    check(chain.path(), other_key.path(), errc::key_mismatch, other_key.path());
    check(chain.path(), chain.path(), errc::bad_key_file, chain.path());
    CHECK(tls::trust_store::load(nothing.path()).error().code() == errc::bad_certificate_file);
    CHECK(tls::trust_store::load(damaged.path()).error().code() == errc::bad_certificate_file);
}

TEST_CASE("tls certificate: an encrypted key needs its password, and asks nobody", "[rt][tls]") {
    const authority ca;
    const issued made = ca.issue("a");
    const std::unique_ptr<BIO, decltype(&BIO_free)> in(
        BIO_new_mem_buf(made.key.data(), static_cast<int>(made.key.size())), BIO_free);
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    std::string password = "open sesame";
    REQUIRE(PEM_write_bio_PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(),
                                     reinterpret_cast<unsigned char*>(password.data()),
                                     static_cast<int>(password.size()), nullptr, nullptr) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    const std::string encrypted(data, static_cast<std::size_t>(size));
    CHECK(tls::certificate::from_pem(made.certificate, encrypted, password));
    for (const char* wrong : {"", "open"}) {
        const auto refused = tls::certificate::from_pem(made.certificate, encrypted, wrong);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == errc::bad_key_file);
    }
}

TEST_CASE("tls certificate: damaged files are refused without harm", "[rt][tls]") {
    const authority ca;
    const issued made = ca.issue("a");
    std::mt19937 random(20);
    for (int round = 0; round < 400; ++round) {
        std::string chain = made.certificate + ca.certificate();
        std::string key = made.key;
        std::string& hit = (round & 1) != 0 ? chain : key;
        for (int i = 0; i < 3; ++i) { hit[random() % hit.size()] = static_cast<char>(random()); }
        if (round % 7 == 0) { hit.resize(random() % hit.size()); }
        const auto got = tls::certificate::from_pem(chain, key);
        if (!got) { CHECK_FALSE(got.error().message().empty()); }
    }
}

TEST_CASE(
    "tls certificate: lists of revoked certificates are read, and nothing else is taken for one",
    "[rt][tls]") {
    const authority ca;
    const auto store = trusting(ca);
    const std::string list = ca.revoke({ca.issue("a")});
    const temporary_file file(list);
    CHECK(store.with_revocations(file.path()));
    for (const std::string& bad :
         {std::string(), ca.certificate(), std::string("not PEM"), list.substr(0, list.size() / 2),
          list + list.substr(0, list.size() / 2)}) {
        const auto refused = store.with_revocations_from_pem(bad);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == errc::bad_revocation_file);
    }
    const auto missing = store.with_revocations("/nowhere/crl.pem");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code() == std::errc::no_such_file_or_directory);
    CHECK(missing.error().message().find("/nowhere/crl.pem") != std::string::npos);
}
