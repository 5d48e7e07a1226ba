#include <heph/core/failure.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <catch2/catch.hpp>

using heph::failure;

namespace {

enum class plain { zero, one };
enum class spoken { only };
constexpr const char* to_string(spoken) { return "spoken only"; }

struct silent {};
struct with_what {
    [[nodiscard]] const char* what() const { return "what it is"; }
};

template <typename E>
std::exception_ptr thrown(E error) {
    return std::make_exception_ptr(std::move(error));
}

}  // namespace

TEST_CASE("failure: gives the words of an error, whatever it is", "[core][failure]") {
    CHECK(failure(std::string("text")).message() == "text");
    CHECK(failure(std::make_error_code(std::errc::address_in_use)).message() ==
          "Address already in use");
    CHECK(failure(with_what()).message() == "what it is");
    CHECK(failure(spoken::only).message() == "spoken only");
    CHECK(failure(plain::one).message().find("plain 1") != std::string::npos);
    CHECK(failure(42).message() == "42");
    CHECK(failure(silent()).message().find("silent") != std::string::npos);
}

TEST_CASE("failure: gives the words and the type of an exception", "[core][failure]") {
    CHECK(failure(thrown(std::out_of_range("far"))).message() == "far");
    CHECK(failure(thrown(std::out_of_range("far"))).type_name() == "std::out_of_range");
    CHECK(failure(thrown(std::string("text"))).message() == "text");
    CHECK(failure(thrown("literal")).message() == "literal");
    CHECK(failure(thrown(static_cast<const char*>(nullptr))).message() == "a null pointer");
    CHECK(failure(thrown(3)).message() == "an exception that is no std::exception");
    CHECK(failure(thrown(3)).type_name() == "int");
    CHECK(failure(std::exception_ptr()).message() == "no exception");
}

TEST_CASE("failure: gives an error back by its exact type only", "[core][failure]") {
    const std::string text = "text";
    const failure why(text, "name", heph::failure_stage::restarting);
    REQUIRE(why.error<std::string>() == &text);
    CHECK(why.error<int>() == nullptr);
    CHECK_FALSE(why.is_exception());
    CHECK(why.exception() == nullptr);
    CHECK(why.actor_name() == "name");
    CHECK(why.stage() == heph::failure_stage::restarting);
    const failure other(thrown(1));
    CHECK(other.is_exception());
    CHECK(other.error<int>() == nullptr);
    CHECK(other.exception() != nullptr);
}

TEST_CASE("failure: a null pointer to characters has a text", "[failure][regression]") {
    const char* const nothing = nullptr;
    CHECK(failure(nothing).message() == "a null pointer");
}
