import { ModelpressError } from '@modelpress/core';
import { ROLES, type KeyView, type ProjectView, type Service } from '@modelpress/service';
import { Body, Controller, Delete, Get, Inject, Param, Patch, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { given } from '../common/page';
import { SERVICE } from '../tokens';
import { callerView, keyView, newKeyView, projectView } from '../views/tenancy';

const name = z.string().trim().min(1).max(120);
const limits = {
  maxConcurrentRuns: z
    .int()
    .min(1)
    .nullable()
    .optional()
    .describe('Stage runs queued or running at once; null: no limit.'),
  retentionDays: z
    .int()
    .min(1)
    .nullable()
    .optional()
    .describe('Finished jobs are deleted after this many days; null: kept.'),
};
const createProject = z.strictObject({ name, ...limits }).meta({ id: 'CreateProject' });
const updateProject = z.strictObject({ name: name.optional(), ...limits }).meta({ id: 'UpdateProject' });
const createKey = z.strictObject({ name, role: z.enum(ROLES) }).meta({ id: 'CreateKey' });

@ApiTags('projects and keys')
@Controller('v1')
export class ProjectsController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({ summary: 'Who am I: project, key and role', access: 'viewer', response: callerView })
  @Get('me')
  async me(@CallerParam() caller: RequestCaller): Promise<z.output<typeof callerView> | object> {
    const project = await this.service.projects.get(caller.projectId);
    return { project, keyId: caller.keyId, role: caller.role, operator: caller.operator };
  }

  @Endpoint({ summary: 'All projects', access: 'operator', response: z.array(projectView) })
  @Get('projects')
  list(): Promise<readonly ProjectView[]> {
    return this.service.projects.list();
  }

  @Endpoint({ summary: 'Make a project', access: 'operator', status: 201, response: projectView })
  @Post('projects')
  create(@Body({ schema: createProject }) body: z.output<typeof createProject>): Promise<ProjectView> {
    return this.service.projects.create(given(body));
  }

  @Endpoint({ summary: 'A project', access: 'viewer', response: projectView })
  @Get('projects/:projectId')
  get(@CallerParam() caller: RequestCaller, @Param('projectId') projectId: string): Promise<ProjectView> {
    return this.service.projects.get(reachable(caller, projectId));
  }

  @Endpoint({ summary: "Change a project's name or limits", access: 'admin', response: projectView })
  @Patch('projects/:projectId')
  update(
    @CallerParam() caller: RequestCaller,
    @Param('projectId') projectId: string,
    @Body({ schema: updateProject }) body: z.output<typeof updateProject>,
  ): Promise<ProjectView> {
    return this.service.projects.update(reachable(caller, projectId), given(body));
  }

  @Endpoint({ summary: 'Keys of a project', access: 'admin', response: z.array(keyView) })
  @Get('projects/:projectId/keys')
  keys(@CallerParam() caller: RequestCaller, @Param('projectId') projectId: string): Promise<readonly KeyView[]> {
    return this.service.keys.list(reachable(caller, projectId));
  }

  @Endpoint({
    summary: 'Make a key',
    description: 'The answer is the only place where the key itself is ever shown.',
    access: 'admin',
    status: 201,
    response: newKeyView,
  })
  @Post('projects/:projectId/keys')
  createKey(
    @CallerParam() caller: RequestCaller,
    @Param('projectId') projectId: string,
    @Body({ schema: createKey }) body: z.output<typeof createKey>,
  ): Promise<KeyView & { readonly secret: string }> {
    return this.service.keys.create(reachable(caller, projectId), body);
  }

  @Endpoint({ summary: 'Revoke a key', access: 'admin', status: 204 })
  @Delete('projects/:projectId/keys/:keyId')
  revokeKey(
    @CallerParam() caller: RequestCaller,
    @Param('projectId') projectId: string,
    @Param('keyId') keyId: string,
  ): Promise<void> {
    return this.service.keys.revoke(reachable(caller, projectId), keyId);
  }
}

/** A key sees its own project; the operator's sees all. What cannot be seen does not exist. */
function reachable(caller: RequestCaller, projectId: string): string {
  if (caller.operator || caller.projectId === projectId) return projectId;
  throw new ModelpressError('not-found', 'project.not-found', `There is no project ${projectId}.`, { id: projectId });
}
