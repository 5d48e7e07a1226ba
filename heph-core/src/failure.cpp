#include <cstdlib>
#include <memory>

#include <cxxabi.h>

#include <heph/core/failure.hpp>

namespace heph::detail {

std::string type_name(const std::type_info& type) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(
        abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
    return name ? name.get() : type.name();
}

std::string describe_exception(const std::exception_ptr& exception) {
    if (!exception) { return "no exception"; }
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& caught) {
        return caught.what();
    } catch (const std::string& text) { return text; } catch (const char* text) {
        return text != nullptr ? text : "a null pointer";
    } catch (...) { return "an exception that is no std::exception"; }
}

std::string exception_type_name(const std::exception_ptr& exception) {
    if (!exception) { return "no exception"; }
    try {
        std::rethrow_exception(exception);
    } catch (...) {
        const std::type_info* type = abi::__cxa_current_exception_type();
        return type != nullptr ? type_name(*type) : "a foreign exception";
    }
}

}  // namespace heph::detail
