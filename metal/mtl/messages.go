package mtl

import "loris/metal/objc"

// Every message sent to Metal's objects: class, selector, encoding of result and arguments. A test holds the rows
// against Apple's headers, another against the running library.
var (
	deviceName              = objc.Declare("MTLDevice", "name", "@")
	deviceArchitecture      = objc.Declare("MTLDevice", "architecture", "@")
	architectureName        = objc.Declare("MTLArchitecture", "name", "@")
	hasUnifiedMemory        = objc.Declare("MTLDevice", "hasUnifiedMemory", "B")
	workingSetSize          = objc.Declare("MTLDevice", "recommendedMaxWorkingSetSize", "Q")
	maxBufferLength         = objc.Declare("MTLDevice", "maxBufferLength", "Q")
	maxThreadgroupMemory    = objc.Declare("MTLDevice", "maxThreadgroupMemoryLength", "Q")
	maxThreadsPerGroup      = objc.Declare("MTLDevice", "maxThreadsPerThreadgroup", "{MTLSize=QQQ}")
	supportsFamily          = objc.Declare("MTLDevice", "supportsFamily:", "Bq")
	newCommandQueue         = objc.Declare("MTLDevice", "newCommandQueueWithMaxCommandBufferCount:", "@Q")
	newFence                = objc.Declare("MTLDevice", "newFence", "@")
	newBuffer               = objc.Declare("MTLDevice", "newBufferWithLength:options:", "@QQ")
	newBufferNoCopy         = objc.Declare("MTLDevice", "newBufferWithBytesNoCopy:length:options:deallocator:", "@^vQQ@?")
	newLibrary              = objc.Declare("MTLDevice", "newLibraryWithSource:options:error:", "@@@^@")
	newPipeline             = objc.Declare("MTLDevice", "newComputePipelineStateWithFunction:error:", "@@^@")
	newPipelineDescriptor   = objc.Declare("MTLDevice", "newComputePipelineStateWithDescriptor:options:reflection:error:", "@@Q^@^@")
	newBinaryArchive        = objc.Declare("MTLDevice", "newBinaryArchiveWithDescriptor:error:", "@@^@")
	bufferContents          = objc.Declare("MTLBuffer", "contents", "^v")
	setLabel                = objc.Declare("MTLBuffer", "setLabel:", "v@")
	setFastMathEnabled      = objc.Declare("MTLCompileOptions", "setFastMathEnabled:", "vB")
	setMathMode             = objc.Declare("MTLCompileOptions", "setMathMode:", "vq")
	setMathFunctions        = objc.Declare("MTLCompileOptions", "setMathFloatingPointFunctions:", "vq")
	setLanguageVersion      = objc.Declare("MTLCompileOptions", "setLanguageVersion:", "vQ")
	newFunction             = objc.Declare("MTLLibrary", "newFunctionWithName:", "@@")
	newFunctionConstants    = objc.Declare("MTLLibrary", "newFunctionWithName:constantValues:error:", "@@@^@")
	setConstantValue        = objc.Declare("MTLFunctionConstantValues", "setConstantValue:type:atIndex:", "v^vQQ")
	setComputeFunction      = objc.Declare("MTLComputePipelineDescriptor", "setComputeFunction:", "v@")
	setBinaryArchives       = objc.Declare("MTLComputePipelineDescriptor", "setBinaryArchives:", "v@")
	pipelineMaxThreads      = objc.Declare("MTLComputePipelineState", "maxTotalThreadsPerThreadgroup", "Q")
	pipelineWidth           = objc.Declare("MTLComputePipelineState", "threadExecutionWidth", "Q")
	pipelineStaticMemory    = objc.Declare("MTLComputePipelineState", "staticThreadgroupMemoryLength", "Q")
	archiveSetURL           = objc.Declare("MTLBinaryArchiveDescriptor", "setUrl:", "v@")
	archiveAdd              = objc.Declare("MTLBinaryArchive", "addComputePipelineFunctionsWithDescriptor:error:", "B@^@")
	archiveSerialize        = objc.Declare("MTLBinaryArchive", "serializeToURL:error:", "B@^@")
	commandBufferUnretained = objc.Declare("MTLCommandQueue", "commandBufferWithUnretainedReferences", "@")
	computeEncoder          = objc.Declare("MTLCommandBuffer", "computeCommandEncoderWithDispatchType:", "@Q")
	commit                  = objc.Declare("MTLCommandBuffer", "commit", "v")
	waitUntilCompleted      = objc.Declare("MTLCommandBuffer", "waitUntilCompleted", "v")
	commandBufferStatus     = objc.Declare("MTLCommandBuffer", "status", "Q")
	commandBufferError      = objc.Declare("MTLCommandBuffer", "error", "@")
	gpuStartTime            = objc.Declare("MTLCommandBuffer", "GPUStartTime", "d")
	gpuEndTime              = objc.Declare("MTLCommandBuffer", "GPUEndTime", "d")
	setPipeline             = objc.Declare("MTLComputeCommandEncoder", "setComputePipelineState:", "v@")
	setBuffers              = objc.Declare("MTLComputeCommandEncoder", "setBuffers:offsets:withRange:", "v^@^Q{_NSRange=QQ}")
	setBytes                = objc.Declare("MTLComputeCommandEncoder", "setBytes:length:atIndex:", "v^vQQ")
	dispatchThreadgroups    = objc.Declare("MTLComputeCommandEncoder", "dispatchThreadgroups:threadsPerThreadgroup:", "v{MTLSize=QQQ}{MTLSize=QQQ}")
	memoryBarrier           = objc.Declare("MTLComputeCommandEncoder", "memoryBarrierWithScope:", "vQ")
	waitForFence            = objc.Declare("MTLComputeCommandEncoder", "waitForFence:", "v@")
	updateFence             = objc.Declare("MTLComputeCommandEncoder", "updateFence:", "v@")
	endEncoding             = objc.Declare("MTLComputeCommandEncoder", "endEncoding", "v")
)

// Metal's constants, by the names of Apple's headers.
const (
	resourceSharedUntracked = 0 | 0x100 // StorageModeShared | HazardTrackingModeUntracked
	dispatchTypeConcurrent  = 1
	barrierScopeBuffers     = 1
	languageVersion31       = 3<<16 | 1
	mathModeSafe            = 0
	mathFunctionsPrecise    = 1
	failOnArchiveMiss       = 1 << 2 // of MTLPipelineOption
	statusCompleted         = 4
	statusError             = 5
	dataTypeFloat           = 3
	dataTypeInt             = 29
	dataTypeUInt            = 33
	dataTypeBool            = 53
	PageBytes               = 16384 // Apple silicon's; also a multiple of Intel's
	maxBytesInline          = 4096  // of setBytes:
	maxBuffers              = 31
)
