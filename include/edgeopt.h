// SPDX-License-Identifier: Apache-2.0
//
// EdgeOpt: read .tflite models, make them smaller, write them, and run them without copying.
//
// Conventions
//   Prefix   Functions and types begin with eo_, constants with EO_. Nothing else is exported.
//   Sizes    size_t counts bytes. int32_t counts and indexes things (inputs, tensors, operators, dimensions), from 0.
//   Strings  UTF-8, NUL-terminated. A returned `const char *` is borrowed from the handle it was asked of.
//   Options  Every options struct begins with struct_size; fill it with the EO_..._INIT macro. NULL means the defaults.
//            Fields are only ever added at the end, so a program built against an older header keeps working.
//   Errors   Every function that can fail returns eo_status. When it is not EO_OK, nothing was changed, outputs are
//            NULL or untouched, and eo_last_error() has a sentence naming the file, tensor or operator.
//   Owning   "Caller owns": release it with the function named. "Borrowed until X": valid until X, never freed.
//   Threads  "Any thread": may be called on the same handle from several threads at once. "One thread at a time":
//            calls on one handle must not overlap; different handles are independent.
//   ABI      Same EO_VERSION_MAJOR = same ABI (while it is 0: same major and minor).
//
// A complete program: classify one image.
//
//     #include <edgeopt.h>
//     #include <stdio.h>
//
//     int main(int argc, char **argv) {
//         float image[32 * 32 * 3] = {0}, scores[10];
//         eo_model *model;
//         eo_interpreter *interpreter;
//         if (eo_model_open(argv[1], &model) != EO_OK ||
//             eo_interpreter_create(model, NULL, &interpreter) != EO_OK ||
//             eo_interpreter_bind_input(interpreter, 0, image, sizeof image) != EO_OK ||
//             eo_interpreter_bind_output(interpreter, 0, scores, sizeof scores) != EO_OK ||
//             eo_interpreter_invoke(interpreter) != EO_OK)
//             return fprintf(stderr, "%s\n", eo_last_error()), 1;
//         printf("score of class 0: %f\n", scores[0]);
//         eo_interpreter_destroy(interpreter);
//         eo_model_destroy(model);
//     }
#ifndef EDGEOPT_H
#define EDGEOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EO_API __attribute__((visibility("default")))
#else
#define EO_API
#endif

#define EO_VERSION_MAJOR 0
#define EO_VERSION_MINOR 1
#define EO_VERSION_PATCH 0

// ---------------------------------------------------------------------------------------------------------- status

// The one table of statuses: name, number, message. Numbers are grouped: 0x1_ argument, 0x2_ file, 0x3_ model,
// 0x4_ resource, 0x5_ execution, 0x6_ delegate.
#define EO_STATUS_MAP(X)                                                                                               \
    X(EO_OK, 0x00, "success")                                                                                          \
    X(EO_INVALID_ARGUMENT, 0x10, "an argument is invalid")                                                             \
    X(EO_OUT_OF_RANGE, 0x11, "an index or a name is not there")                                                        \
    X(EO_WRONG_SIZE, 0x12, "a buffer or shape has the wrong size")                                                     \
    X(EO_WRONG_STATE, 0x13, "the handle is not in a state for this call")                                              \
    X(EO_FILE_ERROR, 0x20, "a file could not be read or written")                                                      \
    X(EO_INVALID_MODEL, 0x30, "the bytes are not a valid .tflite model")                                               \
    X(EO_UNSUPPORTED, 0x31, "the model needs something this library does not have")                                    \
    X(EO_OUT_OF_MEMORY, 0x40, "memory could not be allocated")                                                         \
    X(EO_THREAD_ERROR, 0x41, "a thread could not be started")                                                          \
    X(EO_CANCELLED, 0x50, "the call was cancelled")                                                                    \
    X(EO_EXECUTION_ERROR, 0x51, "an operator met values it cannot compute with")                                       \
    X(EO_NO_CALIBRATION, 0x52, "the scheme needs calibration samples and got none")                                    \
    X(EO_DELEGATE_ERROR, 0x60, "a delegate failed")

#define EO_STATUS_ENTRY(name, number, message) name = number,
typedef enum eo_status { EO_STATUS_MAP(EO_STATUS_ENTRY) } eo_status;

// The name of a status, "EO_OK", or "EO_UNKNOWN". Static. Any thread.
EO_API const char *eo_status_name(eo_status status);
// What a status means, in a few words. Static. Any thread.
EO_API const char *eo_status_message(eo_status status);
// The sentence of the last call that failed on this thread, "" if none did. Borrowed until the next failing call on
// this thread. Any thread.
EO_API const char *eo_last_error(void);

// "0.1.0". Static. Any thread.
EO_API const char *eo_version(void);
// The instruction set the kernels use, "scalar", "avx2", "avx512", ... The environment variable EDGEOPT_ISA caps it.
// Static. Any thread.
EO_API const char *eo_isa(void);
// Releases memory that a function of this header said the caller owns. NULL is allowed. Any thread.
EO_API void eo_free(void *memory);

// ----------------------------------------------------------------------------------------------------------- types

// Element types; the numbers are those of the .tflite schema.
typedef enum eo_type {
    EO_FLOAT32 = 0,
    EO_FLOAT16 = 1,
    EO_INT32 = 2,
    EO_UINT8 = 3,
    EO_INT64 = 4,
    EO_STRING = 5,
    EO_BOOL = 6,
    EO_INT16 = 7,
    EO_COMPLEX64 = 8,
    EO_INT8 = 9,
    EO_FLOAT64 = 10,
    EO_COMPLEX128 = 11,
    EO_UINT64 = 12,
    EO_RESOURCE = 13,
    EO_VARIANT = 14,
    EO_UINT32 = 15,
    EO_UINT16 = 16,
    EO_INT4 = 17, // two per byte, element 0 in the low nibble
    EO_BFLOAT16 = 18,
    EO_INT2 = 19,
    EO_UINT4 = 20,
    EO_FLOAT8_E4M3FN = 21,
    EO_FLOAT8_E5M2 = 22
} eo_type;

// The name of a type as .tflite tools print it, "FLOAT32". Static. Any thread.
EO_API const char *eo_type_name(eo_type type);

typedef struct eo_model eo_model;             // immutable; shared by threads
typedef struct eo_interpreter eo_interpreter; // one compiled graph and its memory; one thread at a time
typedef struct eo_quantizer eo_quantizer;     // a quantization under way; one thread at a time
typedef struct eo_trainer eo_trainer;         // a training under way; one thread at a time

// A tensor. All pointers are borrowed from the handle it was asked of.
typedef struct eo_tensor {
    int32_t index; // in its subgraph
    const char *name;
    eo_type type;
    int32_t rank;
    const int32_t *shape;           // rank numbers
    const int32_t *shape_signature; // rank numbers, -1 where the size may change; NULL if the model has none
    bool is_variable;
    bool is_sparse;              // the data is in the sparse encoding of the model format
    int32_t quantization_count;  // 0: not quantized; 1: per tensor; else per channel
    const float *scales;         // quantization_count numbers; real = scale * (stored - zero_point)
    const int64_t *zero_points;  // quantization_count numbers
    int32_t quantized_dimension; // which dimension the channels are
    int32_t block_size;          // blockwise quantization: elements per scale along the last dimension; else 0
    size_t size;                 // bytes of the data; 0 if not known yet
    void *data;                  // constants of a model (never write to them), or live memory of an interpreter;
                                 // NULL if there is none at this time
} eo_tensor;

// An operator of a model. All pointers are borrowed from the model.
typedef struct eo_operator {
    const char *name; // "CONV_2D"; of a custom operator its own name
    bool is_custom;
    int32_t builtin_code; // of the schema
    int32_t version;
    int32_t input_count;
    const int32_t *inputs; // tensor indices; -1 marks an optional input left out
    int32_t output_count;
    const int32_t *outputs;
} eo_operator;

// A named entry point of a model. All pointers are borrowed from the model.
typedef struct eo_signature {
    const char *key;
    int32_t subgraph;
    int32_t input_count;
    const char *const *input_names;
    const int32_t *inputs; // tensor indices
    int32_t output_count;
    const char *const *output_names;
    const int32_t *outputs;
} eo_signature;

// ----------------------------------------------------------------------------------------------------------- model

// Maps a .tflite file into memory and checks all of it. Weights are used in place: the file must not be changed while
// the model lives. Caller owns *model: eo_model_destroy. Any thread.
// EO_FILE_ERROR, EO_INVALID_MODEL, EO_OUT_OF_MEMORY.
EO_API eo_status eo_model_open(const char *path, eo_model **model);

typedef enum eo_memory {
    EO_MEMORY_COPY = 0,  // the library copies the bytes
    EO_MEMORY_BORROW = 1 // the caller keeps the bytes unchanged and alive until the model is destroyed
} eo_memory;

// The same from `size` bytes in memory. For zero copy of every weight `data` should be 16-byte aligned.
EO_API eo_status eo_model_from_memory(const void *data, size_t size, eo_memory memory, eo_model **model);

// Releases a model. Interpreters and quantizers made from it keep what they need, so the order does not matter. With
// EO_MEMORY_BORROW the bytes must outlive those too. NULL is allowed. Any thread.
EO_API void eo_model_destroy(eo_model *model);

// Writes the model to `path`: to a temporary name first, then renamed. Any thread. EO_FILE_ERROR.
EO_API eo_status eo_model_save(const eo_model *model, const char *path);
// The bytes eo_model_save would write. Caller owns *data: eo_free. Any thread. EO_OUT_OF_MEMORY.
EO_API eo_status eo_model_serialize(const eo_model *model, void **data, size_t *size);

// Looking at a model. Counts are 0 and names NULL for an index that is not there. Any thread.
EO_API const char *eo_model_description(const eo_model *model);
EO_API int32_t eo_model_subgraph_count(const eo_model *model);
EO_API const char *eo_model_subgraph_name(const eo_model *model, int32_t subgraph);
EO_API int32_t eo_model_tensor_count(const eo_model *model, int32_t subgraph);
EO_API int32_t eo_model_operator_count(const eo_model *model, int32_t subgraph);
EO_API int32_t eo_model_input_count(const eo_model *model, int32_t subgraph);
EO_API int32_t eo_model_output_count(const eo_model *model, int32_t subgraph);
EO_API int32_t eo_model_signature_count(const eo_model *model);
EO_API int32_t eo_model_metadata_count(const eo_model *model);
// EO_OUT_OF_RANGE. The tensor index of an input or output goes to *tensor. Any thread.
EO_API eo_status eo_model_input(const eo_model *model, int32_t subgraph, int32_t input, int32_t *tensor);
EO_API eo_status eo_model_output(const eo_model *model, int32_t subgraph, int32_t output, int32_t *tensor);
// EO_OUT_OF_RANGE. What they fill is borrowed until the model is destroyed. Any thread.
EO_API eo_status eo_model_tensor(const eo_model *model, int32_t subgraph, int32_t tensor, eo_tensor *result);
EO_API eo_status eo_model_operator(const eo_model *model, int32_t subgraph, int32_t index, eo_operator *result);
EO_API eo_status eo_model_signature(const eo_model *model, int32_t index, eo_signature *result);
EO_API eo_status eo_model_metadata(const eo_model *model, int32_t index, const char **name, const void **data,
                                   size_t *size);
// The options of an operator as text, "padding=SAME stride_w=2 stride_h=2 ...". Caller owns *text: eo_free. Any thread.
EO_API eo_status eo_model_operator_options(const eo_model *model, int32_t subgraph, int32_t index, char **text);

// Editing: each makes a new model that shares the weights of the old one. Caller owns *edited: eo_model_destroy.
// Any thread. EO_OUT_OF_RANGE, EO_INVALID_ARGUMENT (two signatures with one key, say).
EO_API eo_status eo_model_set_description(const eo_model *model, const char *description, eo_model **edited);
EO_API eo_status eo_model_rename_tensor(const eo_model *model, int32_t subgraph, int32_t tensor, const char *name,
                                        eo_model **edited);
// Adds the signature, or replaces the one with the same key.
EO_API eo_status eo_model_set_signature(const eo_model *model, const eo_signature *signature, eo_model **edited);
EO_API eo_status eo_model_remove_signature(const eo_model *model, const char *key, eo_model **edited);
// Adds a metadata entry, or replaces the one with the same name; size 0 removes it. The bytes are copied.
EO_API eo_status eo_model_set_metadata(const eo_model *model, const char *name, const void *data, size_t size,
                                       eo_model **edited);

// ----------------------------------------------------------------------------------------------------- interpreter

typedef enum eo_arithmetic {
    EO_ARITHMETIC_FAST = 0,     // integer results are the same bits on every machine and for every thread count
    EO_ARITHMETIC_REFERENCE = 1 // integer results are the bits of LiteRT's reference kernels; slow
} eo_arithmetic;

// In what float32 layers (convolutions, fully connected) compute, and their gradients. A permission: where the
// processor has no fast bfloat16 products (AMX), and for other operators, it is float32.
typedef enum eo_precision {
    EO_PRECISION_FLOAT32 = 0,
    EO_PRECISION_BFLOAT16 = 1 // inputs and weights are rounded to 8 significant bits, sums are float32
} eo_precision;

typedef enum eo_log_level { EO_LOG_INFO = 0, EO_LOG_WARNING = 1, EO_LOG_ERROR = 2 } eo_log_level;
// Gets every message; the library prints nothing itself. `text` is borrowed until it returns. It may be called from
// whichever thread calls the library.
typedef void (*eo_log)(void *user, eo_log_level level, const char *text);

typedef struct eo_delegate eo_delegate; // see "delegates"

// Threads that interpreters share. Caller owns *pool: eo_thread_pool_destroy; the order does not matter, interpreters
// keep what they need. When several of them run at the same time one at a time has the threads, and each of the others
// runs on the thread that called it alone until they are free, so nobody waits for anybody. Any thread.
typedef struct eo_thread_pool eo_thread_pool;
// The body of a loop: to be called once for each index in 0..count-1, in any order, from any threads.
typedef void (*eo_task)(void *context, size_t index);
// A loop on the host's own threads: calls task(context, index) for every index below count and returns when all calls
// have returned. Several threads may call it at once, one for each interpreter that runs; tasks start no loops. A count
// is at most num_threads where the work is split evenly, and may be larger.
typedef void (*eo_parallel_for)(void *user, size_t count, eo_task task, void *context);
typedef struct eo_thread_pool_options {
    size_t struct_size;
    int32_t num_threads;          // the calling thread included; 0: one per core. Default 0
    eo_parallel_for parallel_for; // the host's threads; NULL: the library starts num_threads - 1 threads
    void *user;                   // given to parallel_for, which must stay callable until no interpreter uses the pool
} eo_thread_pool_options;
#define EO_THREAD_POOL_OPTIONS_INIT                                                                                    \
    { sizeof(eo_thread_pool_options), 0, 0, 0 }
// EO_THREAD_ERROR, EO_INVALID_ARGUMENT.
EO_API eo_status eo_thread_pool_create(const eo_thread_pool_options *options, eo_thread_pool **pool);
// NULL is allowed.
EO_API void eo_thread_pool_destroy(eo_thread_pool *pool);

typedef struct eo_interpreter_options {
    size_t struct_size;
    int32_t num_threads; // 1: no thread is ever created; 0: one per core. Default 1
    eo_arithmetic arithmetic;
    const char *signature;   // run this signature; NULL: the main subgraph
    const char *const *keep; // names of intermediate tensors that stay readable after invoke
    int32_t keep_count;
    bool keep_all;                       // all of them
    bool profile;                        // time every operator
    const eo_delegate *const *delegates; // tried in this order; each must live as long as the interpreter
    int32_t delegate_count;
    eo_log log;
    void *log_user;
    const char *weight_cache;    // path of a packed-weight file, see below; NULL: none
    eo_thread_pool *thread_pool; // runs on these threads, and num_threads is not looked at; NULL: threads of its own
    eo_precision precision;
    bool autotune; // time the kernels that can run a layer, see below
} eo_interpreter_options;
#define EO_INTERPRETER_OPTIONS_INIT                                                                                    \
    {                                                                                                                  \
        sizeof(eo_interpreter_options), 1, EO_ARITHMETIC_FAST, 0, 0, 0, false, false, 0, 0, 0, 0, 0, 0,                \
            EO_PRECISION_FLOAT32, false                                                                                \
    }

// The packed-weight file makes the next compile of the same model fast, and lets processes share the memory of packed
// weights: it is mapped, not read. It is used if it was written by the same version of the library on a machine with
// the same instructions, from the same weights; a file that is missing, truncated, damaged, or anything else is ignored
// and written anew when the interpreter is compiled (to a temporary name, then renamed, so that processes can do it at
// the same time). A path belongs to one model. Nobody else may change the file in place while it is used. Its bytes are
// checked when it is first used after it was changed or the machine was started, which its time of last change tells.
// What is wrong with it, or why it cannot be written, goes to the log and is no failure.

// With autotune, layers that several kernels can run (float32 3x3 convolutions: by the definition, or by Winograd's
// filtering with tiles of 2x2 or 4x4) are run by each of them on this machine while the model is compiled, and the
// fastest is taken; without, a rule decides. That takes some milliseconds a layer, once for a model, or for a
// packed-weight file, which keeps the answers. Float32 results then may differ by rounding from one such choice to
// another; integer results never do.

// Compiles a model for execution: infers shapes, chooses kernels, packs weights, plans memory. Weights are shared by
// all interpreters of one model. Caller owns *interpreter: eo_interpreter_destroy. Any thread.
// EO_UNSUPPORTED names every operator that cannot be run, all at once. EO_OUT_OF_RANGE (signature, keep).
EO_API eo_status eo_interpreter_create(const eo_model *model, const eo_interpreter_options *options,
                                       eo_interpreter **interpreter);
// Releases an interpreter and its memory. NULL is allowed. One thread at a time.
EO_API void eo_interpreter_destroy(eo_interpreter *interpreter);

// All calls below, except eo_interpreter_cancel: one thread at a time.

// Inputs and outputs, in the model's order (with a signature: in the signature's order). A count is never negative;
// a name that is not there gives -1.
EO_API int32_t eo_interpreter_input_count(const eo_interpreter *interpreter);
EO_API int32_t eo_interpreter_output_count(const eo_interpreter *interpreter);
EO_API int32_t eo_interpreter_input_index(const eo_interpreter *interpreter, const char *name);
EO_API int32_t eo_interpreter_output_index(const eo_interpreter *interpreter, const char *name);
// The name an input or output is addressed by: the signature's, else the tensor's. NULL if not there. Borrowed until
// the interpreter is destroyed.
EO_API const char *eo_interpreter_input_name(const eo_interpreter *interpreter, int32_t input);
EO_API const char *eo_interpreter_output_name(const eo_interpreter *interpreter, int32_t output);
// Fills *tensor; tensor->data is where to write the input, or read the output: the bound memory, or a place in the
// arena. Borrowed until the next resize, bind, or destroy. The data of an output whose shape depends on values is
// known only after invoke (until then size is 0 and data NULL). EO_OUT_OF_RANGE.
EO_API eo_status eo_interpreter_input(eo_interpreter *interpreter, int32_t input, eo_tensor *tensor);
EO_API eo_status eo_interpreter_output(eo_interpreter *interpreter, int32_t output, eo_tensor *tensor);
// Any tensor of the subgraph that runs. data is NULL for intermediate tensors that are not kept.
EO_API int32_t eo_interpreter_tensor_count(const eo_interpreter *interpreter);
EO_API eo_status eo_interpreter_tensor(eo_interpreter *interpreter, int32_t index, eo_tensor *tensor);

// Gives input `input` another shape and compiles again: every shape is taken that the operators can compute with, also
// where the model has no -1 in shape_signature. Variables start anew; bindings whose size no longer fits are dropped.
// On failure the interpreter stays as it was. EO_WRONG_SIZE (a negative dimension, a size no memory has),
// EO_INVALID_MODEL, EO_UNSUPPORTED (an operator cannot compute with it; the sentence names it).
EO_API eo_status eo_interpreter_resize_input(eo_interpreter *interpreter, int32_t input, const int32_t *shape,
                                             int32_t rank);
// The same for all inputs at once: shapes follow one another in `shapes`, ranks[i] numbers each.
EO_API eo_status eo_interpreter_resize_inputs(eo_interpreter *interpreter, const int32_t *shapes, const int32_t *ranks,
                                              int32_t count);

// Binds the caller's memory as input or output: no copy is made at invoke. NULL unbinds. The memory must stay alive
// until it is unbound, rebound, or the interpreter is destroyed. `size` must be exactly the tensor's. 64-byte aligned
// memory is always used in place; otherwise eo_interpreter_input_binding says what happens. Rebinding costs nothing.
// Bound or not, an input or output has a place outside the arena, whose pages cost memory only once they are touched.
// EO_WRONG_SIZE, EO_OUT_OF_RANGE, EO_WRONG_STATE (an output whose shape depends on values: read it after invoke).
EO_API eo_status eo_interpreter_bind_input(eo_interpreter *interpreter, int32_t input, const void *data, size_t size);
EO_API eo_status eo_interpreter_bind_output(eo_interpreter *interpreter, int32_t output, void *data, size_t size);

typedef enum eo_binding {
    EO_BINDING_ARENA = 0,  // the library's own memory
    EO_BINDING_DIRECT = 1, // the caller's memory is the tensor
    EO_BINDING_COPIED = 2  // each invoke copies: the caller's memory is not aligned to its element type, or overlaps
                           // other bound memory; or the output is also an input, a constant, a view of an input, or
                           // the same tensor as an output before it
} eo_binding;
EO_API eo_binding eo_interpreter_input_binding(const eo_interpreter *interpreter, int32_t input);
EO_API eo_binding eo_interpreter_output_binding(const eo_interpreter *interpreter, int32_t output);

// Runs the graph once. Allocates nothing when all shapes are known at compile time. EO_CANCELLED, EO_EXECUTION_ERROR,
// EO_DELEGATE_ERROR never (a failing delegate is replaced by the CPU; see eo_interpreter_operator).
EO_API eo_status eo_interpreter_invoke(eo_interpreter *interpreter);
// Makes a running invoke return EO_CANCELLED soon, also one in a loop without end; without one, the next invoke does.
// Any thread.
EO_API void eo_interpreter_cancel(eo_interpreter *interpreter);
// Sets variable tensors (states of recurrent networks) and resource variables back to their initial values.
EO_API eo_status eo_interpreter_reset_variables(eo_interpreter *interpreter);
// Number of threads from the next invoke on; as in the options. EO_THREAD_ERROR, EO_WRONG_STATE (with a thread_pool).
EO_API eo_status eo_interpreter_set_num_threads(eo_interpreter *interpreter, int32_t num_threads);
// Bytes of the one block that holds all intermediate tensors. Known before the first invoke.
EO_API size_t eo_interpreter_arena_size(const eo_interpreter *interpreter);

// What was decided for an operator of the model, and what it cost. Pointers are borrowed until the next resize or
// destroy.
typedef struct eo_operator_report {
    int32_t index;        // in the subgraph
    const char *name;     // "CONV_2D"
    const char *runner;   // "CPU", a delegate's name, "folded" (computed at compile), "fused", "view" (costs nothing),
                          // "unused" (nobody reads its results), or "" (not planned yet: shapes depend on values)
    const char *kernel;   // which kernel runs it, "f32_igemm_6x32__avx512", or ""
    const char *reason;   // why it is not run by the delegates, one sentence per delegate; or what it was fused into
    int32_t partition;    // number of the delegate's partition; -1 on the CPU
    size_t output_offset; // place of output 0 in the arena; SIZE_MAX if it is not there
    uint64_t calls;       // with options.profile: how often it ran,
    uint64_t nanoseconds; // and the time of all calls; of a partition: on its first operator
} eo_operator_report;
EO_API int32_t eo_interpreter_operator_count(const eo_interpreter *interpreter);
EO_API eo_status eo_interpreter_operator(eo_interpreter *interpreter, int32_t index, eo_operator_report *report);
// Switches the timing of operators on or off, and sets all times to 0.
EO_API void eo_interpreter_set_profile(eo_interpreter *interpreter, bool profile);

// ------------------------------------------------------------------------------------------------------- delegates

#define EO_DELEGATE_ABI 1

// Memory a delegate reads or writes. Host memory now; the other kinds are for delegates with memory of their own.
typedef enum eo_buffer_kind { EO_BUFFER_HOST = 0, EO_BUFFER_DELEGATE = 1 } eo_buffer_kind;
typedef struct eo_buffer {
    eo_buffer_kind kind;
    void *data; // EO_BUFFER_HOST: the bytes
    size_t size;
    void *handle; // EO_BUFFER_DELEGATE: what the delegate's own allocate_buffer returned
} eo_buffer;

// The maximal connected part of a graph that a delegate takes. Borrowed until the delegate's call returns.
typedef struct eo_partition {
    size_t struct_size;
    const eo_model *model; // look up tensors and operators here
    int32_t subgraph;
    int32_t operator_count;
    const int32_t *operators; // indices in the subgraph, in execution order
    int32_t input_count;
    const eo_tensor *inputs; // what is read from outside, each once, with present shapes; constants, also those
                             // computed at compile, are among them and have data
    int32_t output_count;
    const eo_tensor *outputs;
    int32_t num_threads;
} eo_partition;

// A delegate: somebody else who runs parts of a graph. It is asked about every operator that is left after constants
// are folded, whatever its types (float16, int8, ...), and the operators it takes are joined to maximal partitions that
// no path leaves and enters again. The library never calls one delegate from two threads at once for the same
// interpreter. Every call may fail; then the CPU runs the partition, and the report says so.
struct eo_delegate {
    size_t struct_size;
    uint32_t abi; // EO_DELEGATE_ABI
    const char *name;
    void *user; // given to every call

    // May this operator be run by the delegate? If not, a short reason goes into `reason` (`reason_size` bytes).
    // Shapes in `inputs` and `outputs` are those compiled for.
    bool (*supports)(void *user, const eo_model *model, int32_t subgraph, int32_t operator_index,
                     const eo_tensor *inputs, int32_t input_count, const eo_tensor *outputs, int32_t output_count,
                     char *reason, size_t reason_size);
    // Makes a partition ready; *kernel is the delegate's own object for it. On failure a sentence goes into `reason`.
    eo_status (*prepare)(void *user, const eo_partition *partition, void **kernel, char *reason, size_t reason_size);
    // Runs it. inputs and outputs are in the partition's order. With `wait` set it may return before it is done: the
    // library calls wait before anybody touches those buffers.
    eo_status (*invoke)(void *user, void *kernel, const eo_buffer *inputs, const eo_buffer *outputs);
    // Releases what prepare made.
    void (*release)(void *user, void *kernel);

    // The rest is optional (NULL).
    // Shapes have changed; partition is as in prepare. Without it: release and prepare.
    eo_status (*resize)(void *user, void *kernel, const eo_partition *partition, char *reason, size_t reason_size);
    // Blocks until the last invoke of this kernel is done and says how it went.
    eo_status (*wait)(void *user, void *kernel);
    // Memory of the delegate's own for a tensor that only it touches; and its release. This version of the library
    // hands out host memory only and does not call them.
    eo_status (*allocate_buffer)(void *user, const eo_tensor *tensor, eo_buffer *buffer);
    void (*release_buffer)(void *user, eo_buffer *buffer);
};

// ---------------------------------------------------------------------------------------------------- quantization

typedef enum eo_scheme {
    EO_SCHEME_FLOAT16 = 0,       // weights as float16; no samples needed
    EO_SCHEME_DYNAMIC_RANGE = 1, // weights as int8, activations float; no samples needed
    EO_SCHEME_INT8 = 2,          // weights and activations int8; needs samples
    EO_SCHEME_INT16X8 = 3        // int16 activations, int8 weights; needs samples
} eo_scheme;

typedef enum eo_calibration {
    EO_CALIBRATION_MIN_MAX = 0,       // the range of all samples
    EO_CALIBRATION_MOVING_AVERAGE = 1 // the moving average of the samples' ranges
} eo_calibration;

typedef struct eo_quantizer_options {
    size_t struct_size;
    eo_scheme scheme;
    bool per_tensor_weights; // one scale for a weight tensor; default: one for each output channel
    eo_type input_type;      // EO_FLOAT32 (default), or with the integer schemes EO_INT8, EO_UINT8 (INT8) or
    eo_type output_type;     // EO_INT16 (INT16X8)
    eo_calibration calibration;
    float moving_average;        // share of the old range kept; default 0.9
    int32_t min_weight_elements; // dynamic range: smaller weights stay float32; float16: those below an eighth of it,
                                 // where the operator that converts them would be larger. Default 1024
    int32_t num_threads;         // for the calibration runs; as for interpreters. Default 1
    eo_log log;
    void *log_user;
} eo_quantizer_options;
#define EO_QUANTIZER_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(eo_quantizer_options), EO_SCHEME_INT8, false, EO_FLOAT32, EO_FLOAT32, EO_CALIBRATION_MIN_MAX, 0.9f,     \
            1024, 1, 0, 0                                                                                              \
    }

// Begins the quantization of a float32 model. Caller owns *quantizer: eo_quantizer_destroy. Any thread.
// EO_INVALID_MODEL (already quantized), EO_UNSUPPORTED, EO_INVALID_ARGUMENT.
EO_API eo_status eo_quantizer_create(const eo_model *model, const eo_quantizer_options *options,
                                     eo_quantizer **quantizer);
EO_API void eo_quantizer_destroy(eo_quantizer *quantizer);
// The tensors a sample consists of: the main subgraph's inputs. One thread at a time.
EO_API int32_t eo_quantizer_input_count(const eo_quantizer *quantizer);
EO_API eo_status eo_quantizer_input(eo_quantizer *quantizer, int32_t input, eo_tensor *tensor);
// Runs one sample through the float model and notes the ranges it sees. data[i] has sizes[i] bytes of input i, borrowed
// until the call returns. Memory does not grow with the number of samples. One thread at a time.
// EO_WRONG_SIZE, EO_EXECUTION_ERROR (a value is NaN or infinite; the sentence names the tensor).
EO_API eo_status eo_quantizer_calibrate(eo_quantizer *quantizer, const void *const *data, const size_t *sizes,
                                        int32_t count);
// Makes the quantized model. The quantizer can calibrate further and make another. Caller owns *model:
// eo_model_destroy. One thread at a time. EO_NO_CALIBRATION, EO_UNSUPPORTED.
EO_API eo_status eo_quantizer_finish(eo_quantizer *quantizer, eo_model **model);

// ----------------------------------------------------------------------------------------------------- compression
//
// Each call makes a new model; the one given stays as it is. What an earlier call made is kept: weights that are zero
// stay zero, clustered weights get no more values, and quantization stores them as just as few numbers. The order that
// keeps most accuracy: channels, pruning, clustering, quantization.

// A number for the layers with a certain name: that of their weights, or of what their operator writes. In a pattern
// "*" stands for any run of characters and "?" for one. Of several rules that fit the last counts.
typedef struct eo_layer_rule {
    const char *pattern;
    double value;
} eo_layer_rule;

typedef enum eo_sparsity_pattern {
    EO_SPARSITY_ELEMENT = 0, // single weights
    EO_SPARSITY_BLOCK = 1,   // blocks of block_rows output channels by block_columns neighbours in each
    EO_SPARSITY_N_OF_M = 2   // of every group_size neighbours in an output channel the group_zeros smallest
} eo_sparsity_pattern;

typedef enum eo_block_pooling {
    EO_BLOCK_AVERAGE = 0, // a block is worth the mean magnitude of its weights
    EO_BLOCK_MAXIMUM = 1  // the largest
} eo_block_pooling;

typedef struct eo_pruning_options {
    size_t struct_size;
    double sparsity; // share of zeros to reach, from 0 up to, without, 1; default 0.5
    eo_sparsity_pattern pattern;
    int32_t block_rows;    // default 1
    int32_t block_columns; // default 4
    eo_block_pooling block_pooling;
    int32_t group_zeros;        // default 2
    int32_t group_size;         // default 4
    bool global;                // the target is that of all weights together; see LAMP, Lee et al., 2021
    bool for_latency;           // only what then runs faster: 1x1 convolutions and FULLY_CONNECTED, from half zeros
                                // on; with EO_SPARSITY_ELEMENT in blocks of 16 x 1
    bool depthwise;             // depthwise filters too: they are few and lose accuracy first
    bool first;                 // the convolutions that read the model's inputs too, for the same reason
    const eo_layer_rule *rules; // sparsities of layers, of those left out as well; 0 leaves a layer alone
    int32_t rule_count;
    eo_log log;
    void *log_user;
} eo_pruning_options;
#define EO_PRUNING_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(eo_pruning_options), 0.5, EO_SPARSITY_ELEMENT, 1, 4, EO_BLOCK_AVERAGE, 2, 4, false, false, false,       \
            false, 0, 0, 0, 0                                                                                          \
    }

// Sets the weights of least magnitude to zero: of convolutions, matrix products, recurrent layers and tables. Each
// tensor then has exactly the share of zeros that was asked for, rounded to a whole number of weights or blocks; of
// equal ones the first go first; zeros that were there count. Caller owns *pruned: eo_model_destroy. Any thread.
// EO_UNSUPPORTED (nothing to prune: no float weights), EO_INVALID_MODEL (a weight is NaN), EO_INVALID_ARGUMENT.
EO_API eo_status eo_prune(const eo_model *model, const eo_pruning_options *options, eo_model **pruned);

typedef enum eo_channel_norm { EO_CHANNEL_L1 = 0, EO_CHANNEL_L2 = 1 } eo_channel_norm;

typedef struct eo_channel_pruning_options {
    size_t struct_size;
    double ratio;               // share of each layer's output channels that goes; default 0.5
    eo_channel_norm norm;       // how a channel is judged
    int32_t multiple;           // channels that stay are raised to a multiple of it; default 1
    const eo_layer_rule *rules; // ratios of layers; 0 leaves a layer alone
    int32_t rule_count;
    eo_log log; // told which layers keep their channels, and why
    void *log_user;
} eo_channel_pruning_options;
#define EO_CHANNEL_PRUNING_OPTIONS_INIT                                                                                \
    { sizeof(eo_channel_pruning_options), 0.5, EO_CHANNEL_L1, 1, 0, 0, 0, 0 }

// Removes the output channels of least norm and all that belongs to them in the layers behind: a smaller dense model
// that every runtime runs faster. Train it afterwards, or accuracy is lost. Caller owns *pruned: eo_model_destroy. Any
// thread. EO_UNSUPPORTED (no layer can lose channels), EO_INVALID_ARGUMENT.
EO_API eo_status eo_prune_channels(const eo_model *model, const eo_channel_pruning_options *options, eo_model **pruned);

typedef enum eo_centroid_start {
    EO_CENTROIDS_LINEAR = 0,  // at equal distances
    EO_CENTROIDS_RANDOM = 1,  // anywhere between the least and the greatest weight
    EO_CENTROIDS_DENSITY = 2, // the same number of weights around each
    EO_CENTROIDS_KMEANS_PLUS_PLUS = 3
} eo_centroid_start;

typedef enum eo_cluster_granularity {
    EO_CLUSTERS_PER_TENSOR = 0,     // all weights of a tensor share the values
    EO_CLUSTERS_PER_CHANNEL = 1,    // each output channel has values of its own
    EO_CLUSTERS_SCALED_CHANNELS = 2 // all share them, each channel times its own largest magnitude: quantized with a
                                    // scale for each channel the tensor has just these few numbers
} eo_cluster_granularity;

typedef struct eo_clustering_options {
    size_t struct_size;
    int32_t clusters;                   // values of a tensor or channel, zero included, 2 to 1024; default 16
    eo_centroid_start start;            // where k-means begins; default EO_CENTROIDS_KMEANS_PLUS_PLUS
    uint64_t seed;                      // the same seed gives the same model
    int32_t iterations;                 // of k-means at most; default 100
    eo_cluster_granularity granularity; // default EO_CLUSTERS_SCALED_CHANNELS
    bool preserve_zeros;                // zero stays zero, and no other weight becomes it; default true
    bool int8_grid;                     // only values that symmetric int8 weights hold exactly; default true
    bool depthwise;                     // depthwise filters too: they are few and lose accuracy first
    bool first;                         // also the layers that read the model's inputs
    const eo_layer_rule *rules;         // numbers of clusters of layers; 0 leaves a layer alone
    int32_t rule_count;
} eo_clustering_options;
#define EO_CLUSTERING_OPTIONS_INIT                                                                                     \
    {                                                                                                                  \
        sizeof(eo_clustering_options), 16, EO_CENTROIDS_KMEANS_PLUS_PLUS, 0, 100, EO_CLUSTERS_SCALED_CHANNELS, true,   \
            true, false, false, 0, 0                                                                                   \
    }

// Replaces the weights of each tensor or channel by a few values, the centroids that k-means finds: the file deflates
// to a fraction. Caller owns *clustered: eo_model_destroy. Any thread. Errors as eo_prune.
EO_API eo_status eo_cluster(const eo_model *model, const eo_clustering_options *options, eo_model **clustered);

// Stores weights of at least `sparsity` zeros in the sparse encoding of the format, where that is smaller: a DENSIFY
// operator gives them in full. Results do not change. Caller owns *sparse: eo_model_destroy. Any thread.
EO_API eo_status eo_model_store_sparse(const eo_model *model, double sparsity, eo_model **sparse);

// What the numbers of a constant look like: integers times their scales, where there are scales.
typedef struct eo_weight_statistics {
    bool is_weight; // an operator multiplies with it, or looks up in it
    int64_t elements;
    int64_t zeros;
    int64_t distinct; // different numbers that are stored
    double least;
    double greatest;
    double mean;
    double deviation;
} eo_weight_statistics;

// EO_OUT_OF_RANGE, EO_UNSUPPORTED (the tensor is not constant, or not of numbers of at most 32 bits). Any thread.
EO_API eo_status eo_model_weight_statistics(const eo_model *model, int32_t subgraph, int32_t tensor,
                                            eo_weight_statistics *statistics);
// Counts how many lie in each of `bins` equal parts of the range from the least to the greatest. Errors as above.
EO_API eo_status eo_model_weight_histogram(const eo_model *model, int32_t subgraph, int32_t tensor, int64_t *counts,
                                           int32_t bins);
// -------------------------------------------------------------------------------------------------------- training

// What is minimized. Cross-entropies look through a SOFTMAX or LOGISTIC at the model's end and take what goes into it;
// without one the output itself is taken as logits.
typedef enum eo_loss {
    EO_LOSS_AUTO = 0,               // SPARSE_CATEGORICAL for a model that ends in SOFTMAX, BINARY for LOGISTIC
    EO_LOSS_SPARSE_CATEGORICAL = 1, // labels: int32, the class of each row of the output
    EO_LOSS_CATEGORICAL = 2,        // labels: float32 like the output, a distribution over the classes
    EO_LOSS_BINARY = 3,             // labels: float32 like the output, each 0 to 1
    EO_LOSS_SQUARED_ERROR = 4,      // labels: float32 like the output, as for the next three
    EO_LOSS_ABSOLUTE_ERROR = 5,     //
    EO_LOSS_HUBER = 6,              //
    EO_LOSS_COSINE = 7,             // minus the cosine of the angle between output and label, along the last dimension
    EO_LOSS_CTC = 8,                // output [samples, time, classes], the last class the blank; labels: int32
                                    // [samples, max_labels], a row ends at its first -1
    EO_LOSS_DISTILLATION = 9,       // no labels: the model keeps what it said before training, compared as softmax
    EO_LOSS_DISTILLATION_SQUARED = 10, // no labels: the same, compared as squared error of the outputs
    EO_LOSS_HOST = 11                  // no labels: options.host_loss computes it
} eo_loss;

// One term of the sum that is minimized.
typedef struct eo_loss_term {
    size_t struct_size; // the distance of the terms in an array, too
    eo_loss loss;
    int32_t output;        // of which output of the model
    float weight;          // default 1
    float label_smoothing; // share of each label that is spread over the classes
    float delta;           // HUBER: errors above it count linearly. Default 1
    float temperature;     // DISTILLATION: logits are divided by it. Default 1
    int32_t max_labels;    // CTC
} eo_loss_term;
#define EO_LOSS_TERM_INIT                                                                                              \
    { sizeof(eo_loss_term), EO_LOSS_AUTO, 0, 1.0f, 0.0f, 1.0f, 1.0f, 0 }

// Formulas and defaults are those of Keras.
typedef enum eo_optimizer {
    EO_OPTIMIZER_SGD = 0,
    EO_OPTIMIZER_ADAM = 1,
    EO_OPTIMIZER_ADAMW = 2,
    EO_OPTIMIZER_RMSPROP = 3
} eo_optimizer;

typedef enum eo_schedule {
    EO_SCHEDULE_CONSTANT = 0,
    EO_SCHEDULE_STEP = 1,       // times decay_rate after every schedule_steps
    EO_SCHEDULE_COSINE = 2,     // half a cosine to end_learning_rate within schedule_steps
    EO_SCHEDULE_POLYNOMIAL = 3, // (1 - step / schedule_steps)^power on the way to end_learning_rate
    EO_SCHEDULE_EXPONENTIAL = 4 // times decay_rate^(step / schedule_steps)
} eo_schedule;

// Computes the losses of kind EO_LOSS_HOST of a batch. outputs[i] and gradients[i] belong to the i-th of them and have
// the output's shape with batch_size samples, float32. It writes the derivative of the loss by each output and the loss
// itself; rows from sample_count on count nowhere. Everything is borrowed until it returns. Returning anything but 0
// ends the step with EO_CANCELLED.
typedef int (*eo_host_loss)(void *user, const float *const *outputs, float *const *gradients, int32_t sample_count,
                            float *loss);

// How sparse weights are at a step, counted from 0: initial_sparsity at begin_step and then, at every frequency-th
// step, target + (initial_sparsity - target) * (1 - (step - begin_step) / (end_step - begin_step))^power. end_step
// prunes too, so that the target is always met. The target is eo_pruning_options.sparsity or a layer's own.
typedef struct eo_pruning_schedule {
    size_t struct_size;
    double initial_sparsity; // below 0: the target from the beginning. Default that
    int64_t begin_step;      //
    int64_t end_step;        // below 0: without end, with the target from the beginning. Default that
    int64_t frequency;       // default 100
    double power;            // default 3
    bool regrow;             // gradients reach pruned weights too, which can come back at the next pruning
} eo_pruning_schedule;
#define EO_PRUNING_SCHEDULE_INIT                                                                                       \
    { sizeof(eo_pruning_schedule), -1.0, 0, -1, 100, 3.0, false }

// How the ranges of activations follow what a step sees, from those of the calibration.
typedef enum eo_range_kind {
    EO_RANGE_MOVING_AVERAGE = 0, // a share of the old one is kept
    EO_RANGE_LAST_VALUE = 1,     // that of the last batch
    EO_RANGE_ALL_VALUES = 2,     // it only grows
    EO_RANGE_FIXED = 3,          // as calibration found it
    EO_RANGE_LEARNED = 4         // the scale is trained
} eo_range_kind;

// Gives the next sample: data[i] gets the address of the sizes[i] bytes of input i of the model that is trained, in its
// own shape, borrowed until the next call or the end. Returns 1, or 0 if there is none, or below 0 to give up, which
// ends the call that asked with EO_CANCELLED.
typedef int (*eo_next_sample)(void *user, const void **data, size_t *sizes, int32_t input_count);

// The training simulates the integer model that is then exported. Patterns are those of eo_layer_rule, for the names of
// what operators write, or an operator's name ("CONV_2D").
typedef struct eo_training_quantization {
    size_t struct_size;
    eo_scheme scheme;        // EO_SCHEME_INT8 (default) or EO_SCHEME_INT16X8
    int32_t weight_bits;     // 2 to 16; layers with more than 8 compute in float. Default 8
    int32_t activation_bits; // 4 to 8, with INT16X8 to 16; 0: all. Default 0
    bool per_tensor_weights; // one scale for a weight tensor; default: one for each output channel
    eo_type input_type;      // of the exported model, as for eo_quantizer_options
    eo_type output_type;
    eo_range_kind ranges; // default EO_RANGE_MOVING_AVERAGE
    float range_momentum; // share of the old range kept. Default 0.99
    int64_t freeze_step;  // ranges stay as they are from this step on; below 0: they always follow. Default that
    bool learned_weights; // the scales of weights are trained, too
    const char *const *float_layers; // patterns of layers that stay float
    int32_t float_layer_count;
    const eo_layer_rule *weight_bits_rules; // bits of single layers
    int32_t weight_bits_rule_count;
    const eo_layer_rule *activation_bits_rules;
    int32_t activation_bits_rule_count;
    eo_next_sample calibration; // samples for the ranges to start from; called within eo_trainer_create only
    void *calibration_user;
    eo_log log; // told which operators stay float, and why; called within eo_trainer_create and eo_trainer_export
    void *log_user;
} eo_training_quantization;
#define EO_TRAINING_QUANTIZATION_INIT                                                                                  \
    {                                                                                                                  \
        sizeof(eo_training_quantization), EO_SCHEME_INT8, 8, 0, false, EO_FLOAT32, EO_FLOAT32,                         \
            EO_RANGE_MOVING_AVERAGE, 0.99f, -1, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                    \
    }

typedef struct eo_trainer_options {
    size_t struct_size;
    int32_t batch_size;         // samples of a step, whatever first dimension the model's inputs have. Default 32
    int32_t num_threads;        // as for interpreters. Default 1
    const char *signature;      // NULL: the main subgraph
    const eo_loss_term *losses; // NULL: EO_LOSS_AUTO of output 0
    int32_t loss_count;
    const char *const *frozen; // patterns of names of parameters that stay as they are: * any characters, ? one
    int32_t frozen_count;
    const char *const *trainable; // patterns of the only ones that are trained; none: all
    int32_t trainable_count;
    eo_optimizer optimizer;      // default ADAM
    float learning_rate;         // below 0: 0.001, SGD 0.01. Default that
    float momentum;              // SGD, RMSPROP
    bool nesterov;               // SGD
    float beta1;                 // ADAM. Default 0.9
    float beta2;                 // ADAM; rho of RMSPROP. Below 0: 0.999, RMSPROP 0.9. Default that
    float epsilon;               // default 1e-7
    float weight_decay;          // share of a parameter that decays, times the learning rate. Below 0: 0, ADAMW 0.004
    const char *const *no_decay; // patterns of parameters that do not decay
    int32_t no_decay_count;      //
    float clip_value;            // bounds each element of a gradient; 0: does not. At most one of the three
    float clip_norm;             // bounds the length of each parameter's gradient
    float clip_global_norm;      // bounds the length of all gradients together
    float averaging;             // share of the old moving average of the parameters, which evaluation and export
                                 // then use; 0: none
    eo_schedule schedule;        // default CONSTANT
    int32_t schedule_steps;      //
    int32_t warmup_steps;        // steps that rise evenly from 0; the schedule begins after them
    float end_learning_rate;     // default 0
    float decay_rate;            // default 0.1
    float power;                 // default 1
    eo_host_loss host_loss;      //
    void *host_user;             //
    bool batch_normalization;    // put scale and shift with the statistics of the batch back after each convolution and
                                 // hidden fully connected layer; they are folded again at export
    float batch_norm_momentum;   // share of the old statistics kept. Default 0.99
    // What is made of the weights on the way; NULL and false: nothing; all together: PCQAT in one training. Where
    // weights are both pruned and clustered, those that are left are clustered once the schedule has met its target,
    // and zero is one of the values. Parameters that are frozen stay as they are.
    const eo_pruning_options *pruning;
    const eo_pruning_schedule *pruning_schedule; // NULL: EO_PRUNING_SCHEDULE_INIT
    const eo_clustering_options *clustering;     // centroids are trained with the weights that choose among them
    bool preserve_zeros;    // weights that are zero in the model stay zero, where pruning and clustering do not decide
    bool preserve_clusters; // weights with few values in the model keep as few, likewise
    const eo_training_quantization *quantization; // with batch_normalization it is folded in each step
    bool recompute_activations; // compute results of the forward pass a second time where the backward pass needs
                                // them, instead of keeping them: less memory, about a third more time
    bool unroll; // export WHILE, CALL and composites in line, as they were trained; default: as the model has them, but
                 // with quantization always in line
    eo_precision precision; // of the products in eo_trainer_step; all else, and evaluation, is float32
} eo_trainer_options;
#define EO_TRAINER_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(eo_trainer_options), 32, 1, 0, 0, 0, 0, 0, 0, 0, EO_OPTIMIZER_ADAM, -1.0f, 0.0f, false, 0.9f, -1.0f,    \
            1e-7f, -1.0f, 0, 0, 0.0f, 0.0f, 0.0f, 0.0f, EO_SCHEDULE_CONSTANT, 0, 0, 0.0f, 0.1f, 1.0f, 0, 0, false,     \
            0.99f, 0, 0, 0, false, false, 0, false, false, EO_PRECISION_FLOAT32                                        \
    }

// Begins to train a float model. Parameters are the constants that are weights, biases, slopes, tables and per-channel
// factors; float16 ones become float32, batch normalization is folded. Caller owns *trainer: eo_trainer_destroy. Any
// thread. EO_INVALID_MODEL (already quantized), EO_UNSUPPORTED (names every operator that has no gradient, or cannot
// have this batch size; nothing to prune or cluster), EO_INVALID_ARGUMENT (no parameters; an option out of its range;
// options that do not go together), EO_OUT_OF_RANGE (a pattern that fits no parameter; an output that is not there),
// EO_NO_CALIBRATION, and what calibration gives: EO_WRONG_SIZE, EO_EXECUTION_ERROR, EO_CANCELLED.
EO_API eo_status eo_trainer_create(const eo_model *model, const eo_trainer_options *options, eo_trainer **trainer);
// NULL is allowed.
EO_API void eo_trainer_destroy(eo_trainer *trainer);

// All calls on a trainer: one thread at a time.

// What a batch consists of: the model's inputs, and labels for each loss that takes them, with batch_size samples.
EO_API int32_t eo_trainer_input_count(const eo_trainer *trainer);
EO_API int32_t eo_trainer_label_count(const eo_trainer *trainer);
EO_API int32_t eo_trainer_output_count(const eo_trainer *trainer);
// EO_OUT_OF_RANGE. Pointers are borrowed until the trainer is destroyed; data is NULL.
EO_API eo_status eo_trainer_input(eo_trainer *trainer, int32_t input, eo_tensor *tensor);
EO_API eo_status eo_trainer_label(eo_trainer *trainer, int32_t label, eo_tensor *tensor);
EO_API eo_status eo_trainer_output(eo_trainer *trainer, int32_t output, eo_tensor *tensor);

// Samples in memory of the caller, borrowed until the call that takes them returns. Full batches whose memory is
// aligned to its elements are used in place.
typedef struct eo_batch {
    size_t struct_size;
    int32_t sample_count;      // 1 to batch_size
    const void *const *inputs; // for each input, sample_count samples one after the other
    const size_t *input_sizes; // in bytes
    const void *const *labels; // for each label, likewise; NULL where none are taken
    const size_t *label_sizes;
    const float *weights; // sample_count numbers, 0 or more, that the samples' losses are multiplied by; NULL: all 1
} eo_batch;
#define EO_BATCH_INIT                                                                                                  \
    { sizeof(eo_batch), 0, 0, 0, 0, 0, 0 }

// What a batch has given.
typedef struct eo_batch_result {
    float loss;          // mean of the samples
    int32_t correct;     // right answers of how many; 0 of 0 where the losses know no right and wrong
    int32_t counted;     //
    float gradient_norm; // length of all gradients together before clipping; 0 if none were computed
    float learning_rate; // of this step
} eo_batch_result;

// Runs a batch forward and backward and moves the parameters. Same start, data and num_threads: same bits.
// When the loss or a gradient is not finite this is EO_EXECUTION_ERROR, and the sentence names the first operator with
// such a value; parameters and optimizer stay what they were before the step, as with every failure.
// EO_WRONG_SIZE, EO_OUT_OF_RANGE (a label that is no class; the sentence names the sample), EO_INVALID_ARGUMENT,
// EO_CANCELLED (host_loss).
EO_API eo_status eo_trainer_step(eo_trainer *trainer, const eo_batch *batch, eo_batch_result *result);
// Shows a batch to what is observed in training (statistics of batch normalization, ranges of quantization) without
// moving a parameter: to estimate them anew. Errors are those of eo_trainer_step.
EO_API eo_status eo_trainer_observe(eo_trainer *trainer, const eo_batch *batch);
// Loss and right answers of a batch; nothing is changed. Errors are those of eo_trainer_step.
EO_API eo_status eo_trainer_evaluate(eo_trainer *trainer, const eo_batch *batch, eo_batch_result *result);
// The model's outputs for a batch; labels are not read. outputs[i] gets sample_count samples, output_sizes[i] bytes.
EO_API eo_status eo_trainer_predict(eo_trainer *trainer, const eo_batch *batch, void *const *outputs,
                                    const size_t *output_sizes);

// Parameters: names are those of the model's tensors. An index that is not there gives EO_OUT_OF_RANGE, a name -1.
EO_API int32_t eo_trainer_parameter_count(const eo_trainer *trainer);
EO_API int32_t eo_trainer_parameter_index(const eo_trainer *trainer, const char *name);
// tensor->data has the present values, float32, until the next call on the trainer; the rest is borrowed until the
// trainer is destroyed.
EO_API eo_status eo_trainer_parameter(eo_trainer *trainer, int32_t parameter, eo_tensor *tensor);
// Other values; what the optimizer knows of the parameter starts anew. EO_WRONG_SIZE, EO_INVALID_ARGUMENT (not finite).
EO_API eo_status eo_trainer_set_parameter(eo_trainer *trainer, int32_t parameter, const void *data, size_t size);

// Steps taken so far.
EO_API int64_t eo_trainer_steps(const eo_trainer *trainer);
// Rate of the next step; and the rate that the schedule starts from. EO_INVALID_ARGUMENT.
EO_API float eo_trainer_learning_rate(const eo_trainer *trainer);
EO_API eo_status eo_trainer_set_learning_rate(eo_trainer *trainer, float learning_rate);

// Writes all that is needed to go on with the same bits (parameters, optimizer, averages, statistics, the step) to a
// temporary name first, then renames: an older checkpoint stays whole until the new one is. `position` (NULL if size is
// 0) are bytes of the caller's own, where it is in its data, that go with it. EO_FILE_ERROR.
EO_API eo_status eo_trainer_save(eo_trainer *trainer, const char *path, const void *position, size_t size);
// Goes on where a trainer of the same model and options was saved. *position is the caller's (eo_free); position and
// size may be NULL. On failure the trainer stays as it is. EO_FILE_ERROR (missing, damaged), EO_INVALID_ARGUMENT (of
// another model or optimizer).
EO_API eo_status eo_trainer_restore(eo_trainer *trainer, const char *path, void **position, size_t *size);

// The model with the trained parameters and nothing of the training in it: pruned, clustered, and with `quantization`
// the integer model. Training can go on. Caller owns *model: eo_model_destroy. EO_OUT_OF_MEMORY.
EO_API eo_status eo_trainer_export(eo_trainer *trainer, eo_model **model);

// How far the integer model is from what was simulated.
typedef struct eo_export_report {
    int64_t samples;
    int64_t same_top1;      // samples whose first output has its largest element at the same place
    int64_t elements;       // of all float outputs of all samples
    int64_t equal;          // elements less than half a step of the output's scale apart,
    int64_t one_step;       // one step,
    int64_t two_steps;      // and two
    float largest_distance; // in steps
} eo_export_report;

// Runs samples through the simulation and through the model that eo_trainer_export would now make. EO_WRONG_STATE (this
// training does not simulate quantization), EO_WRONG_SIZE, EO_CANCELLED.
EO_API eo_status eo_trainer_check_export(eo_trainer *trainer, eo_next_sample next, void *user,
                                         eo_export_report *report);

#ifdef __cplusplus
}
#endif
#endif
