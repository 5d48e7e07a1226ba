#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include <heph/rt/tls/secret.hpp>

#include "rt_tls/pipe.hpp"

using namespace heph_tests;
using tls::errc;

namespace {

class temporary_folder {
public:
    temporary_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "heph-tls-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] std::filesystem::path write(std::string_view content, mode_t mode) const {
        auto path = path_ / "secret";
        std::ofstream(path, std::ios::binary) << content;
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        return path;
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

std::string text_of(const tls::secret& secret) {
    return {reinterpret_cast<const char*>(secret.bytes().data()), secret.bytes().size()};
}

std::error_code refusal(const std::filesystem::path& path) {
    auto loaded = tls::load_secret(path);
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().message().starts_with(path.string() + ": "));
    return loaded.error().code();
}

}  // namespace

TEST_CASE("tls secret: a file's bytes without one newline at the end", "[rt][tls]") {
    const temporary_folder folder;
    CHECK(text_of(*tls::load_secret(folder.write("0123456789abcdef", 0600))) == "0123456789abcdef");
    CHECK(text_of(*tls::load_secret(folder.write("0123456789abcdef\n", 0400))) ==
          "0123456789abcdef");
    CHECK(text_of(*tls::load_secret(folder.write("0123456789abcdef\n\n", 0600))) ==
          "0123456789abcdef\n");
    const std::string longest(4096, 'x');
    CHECK(text_of(*tls::load_secret(folder.write(longest + "\n", 0600))) == longest);
}

TEST_CASE("tls secret: a file that is open to others is refused", "[rt][tls]") {
    const temporary_folder folder;
    for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0644U}) {
        CHECK(refusal(folder.write("0123456789abcdef", mode)) == errc::secret_exposed);
    }
}

TEST_CASE("tls secret: a file of the wrong size is refused", "[rt][tls]") {
    const temporary_folder folder;
    CHECK(refusal(folder.write("", 0600)) == errc::secret_too_short);
    CHECK(refusal(folder.write("\n", 0600)) == errc::secret_too_short);
    CHECK(refusal(folder.write("0123456789abcde\n", 0600)) == errc::secret_too_short);
    CHECK(refusal(folder.write(std::string(4097, 'x'), 0600)) == errc::secret_too_long);
    CHECK(refusal(folder.write(std::string(100'000, 'x'), 0600)) == errc::secret_too_long);
}

TEST_CASE("tls secret: what is no readable file is refused", "[rt][tls]") {
    const temporary_folder folder;
    CHECK(refusal(folder.path() / "absent") == std::errc::no_such_file_or_directory);
    CHECK(refusal(folder.path()) == errc::secret_not_a_file);
    REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
    CHECK(refusal(folder.path() / "fifo") == errc::secret_not_a_file);  // And does not hang.
}

TEST_CASE("tls secret: copies are equal, and independent", "[rt][tls]") {
    auto first = make_secret(good_secret);
    auto second = first;
    auto third = std::move(first);
    CHECK(text_of(second) == good_secret);
    CHECK(text_of(third) == good_secret);
    second = make_secret("something else entirely");
    CHECK(text_of(third) == good_secret);
    CHECK(text_of(second) == "something else entirely");
}
